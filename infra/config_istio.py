"""Where Istio comes from, and which revisions of it there are. No Pulumi import."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from infra import config_fields as fields
from infra.config_errors import MISSING, Remove, Report, Set, closest
from infra.config_models import body_of
from infra.config_shape import Section
from infra.revisions import PLAIN, Revision, Revisions

DEFAULT_ISTIO: Final = "1.30.4"


class ChartValues(Section):
    """Helm values to merge over the program's own, chart by chart."""

    base: dict[str, Any] = Field(default_factory=dict)
    istiod: dict[str, Any] = Field(default_factory=dict)
    gateway: dict[str, Any] = Field(default_factory=dict)


class IstioRevision(Section):
    """One istiod.

    Attributes:
        version: its chart's release; the stack's when not given.
        tag: its images'; its own version, or else the stack's tag, when not given.
    """

    version: fields.Release | None = None
    tag: fields.Tag | None = None


class IstioSettings(Section):
    """Where Istio comes from, and what is told to its charts.

    Attributes:
        charts: oci://..., https://... or a folder that holds base, istiod and gateway.
        version: the charts' release; of no meaning for a folder.
        hub: registry and path of the images.
        tag: the images' tag; the charts' version when not given.
        gateway: whether to install the ingress gateway.
        revisions: every istiod that there is to be, by name; the plain one alone when empty.
        revision: the one whose proxies pods get.
    """

    charts: fields.Charts = "oci://ghcr.io/istio/release/charts"
    version: fields.Release = DEFAULT_ISTIO
    hub: fields.Hub = "docker.io/istio"
    tag: fields.Tag = Field(default_factory=lambda given: given["version"])
    gateway: fields.Switch = True
    values: ChartValues = Field(default_factory=ChartValues)
    revisions: dict[str, IstioRevision] = Field(default_factory=dict)
    revision: fields.RevisionName = PLAIN

    @property
    def plain(self) -> Revision:
        """The istiod of a stack that names no revisions."""
        return Revision(PLAIN, self.version, self.tag)

    @property
    def installed(self) -> Revisions:
        """All istiods that there are to be."""
        if not self.revisions:
            return Revisions(self.plain)
        found = {
            name: Revision(name, given.version or self.version, given.tag or given.version or self.tag)
            for name, given in self.revisions.items()
        }
        return Revisions(found.pop(self.revision), tuple(found.values()))


def check_revisions(report: Report) -> None:
    """Report revisions of impossible names, and one in use that is not among them."""
    declared = report.at(("istio", "revisions"))
    names = [*declared] if isinstance(declared, Mapping) and declared else []
    for name in names:
        if not fields.is_revision_name(name):
            place = ("istio", "revisions", name)
            report.add(place, fields.REVISION_NAME, Remove(place))
    chosen = report.at(("istio", "revision"))
    in_use = PLAIN if chosen is MISSING else chosen
    if in_use in (names or [PLAIN]) or not (isinstance(in_use, str) and fields.is_revision_name(in_use)):
        return
    listed = ", ".join(sorted(names)) or PLAIN
    meant = closest(in_use, names)
    if meant is not None or not names:
        right = f"no revision of this name is declared; there are {listed}"
        report.add(("istio", "revision"), right, Set(("istio", "revision"), meant or PLAIN))
        return
    version = body_of(report.at(("istio",))).get("version", DEFAULT_ISTIO)
    right = f"it lists every istiod that there is to be, and {in_use}, the one in use, is not among them"
    report.add(("istio", "revisions"), right, Set(("istio", "revisions", in_use, "version"), version), value=listed)
