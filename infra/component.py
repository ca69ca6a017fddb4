"""The base of this program's components."""

import pulumi

from infra import naming


class Component(pulumi.ComponentResource):
    """A component whose children wait for what the component waits for.

    Pulumi hands `depends_on` of a component on to nobody: without this, objects would be made in the right order by
    chance and deleted in any, Istio's CRDs before the routes for instance.
    """

    def __init__(self, kind: str, name: str, opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(naming.type_token(kind), name, {}, opts)
        self._inherited = opts.depends_on if opts is not None else None

    def child(self, opts: pulumi.ResourceOptions | None = None) -> pulumi.ResourceOptions:
        """Return the options of a child: `opts`, with this component as parent and with its dependencies."""
        inherited = pulumi.ResourceOptions(parent=self, depends_on=self._inherited)
        return inherited if opts is None else pulumi.ResourceOptions.merge(inherited, opts)


def after(opts: pulumi.ResourceOptions, *needed: pulumi.Resource) -> pulumi.ResourceOptions:
    """Return options that wait for more than `opts` does."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(needed)))
