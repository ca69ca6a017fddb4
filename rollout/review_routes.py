"""The split of each model's traffic before and after a plan, read from its VirtualServices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rollout.review_plan import STACK_TYPE, Change, Plan, State
from rollout.review_values import is_whole

# Weight by version in the route's order; None is a weight that is not known yet.
Weights: TypeAlias = Mapping[str, int | None]


@dataclass(frozen=True)
class Split:
    """One rule of a route, on both sides of the plan.

    Attributes:
        model: the Service that the requests are for.
        where: which of its requests: "" for all that no other rule takes.
        before: None where the rule is new.
        after: None where it goes.
    """

    model: str
    where: str
    before: Weights | None
    after: Weights | None

    @property
    def changes(self) -> bool:
        """Whether the two sides differ; a weight that is not known yet may."""
        unknown = self.after is not None and None in self.after.values()
        return unknown or self.before is None or self.after is None or dict(self.before) != dict(self.after)

    @property
    def versions(self) -> list[str]:
        """All versions of both sides, in the order of the new one; those that go are last."""
        return list(dict.fromkeys([*(self.after or {}), *(self.before or {})]))


def is_route(change: Change) -> bool:
    """Whether a change is to a VirtualService, of any of its API versions."""
    return change.type.startswith("kubernetes:networking.istio.io/") and change.type.endswith(":VirtualService")


def splits(plan: Plan) -> list[Split]:
    """Return every split that the plan tells of, by model; unchanged ones too where the preview lists them."""
    found = [split for change in plan.changes if is_route(change) for split in _of_route(change)]
    told = {split.model for split in found}
    for change in plan.changes:
        if change.type == STACK_TYPE and change.op in {"same", "update"} and change.old is not None:
            found += [split for split in _of_outputs(change.old) if split.model not in told]
    return sorted(found, key=lambda split: (split.model, split.where != "", split.where))


def _of_route(change: Change) -> Iterator[Split]:
    before = _rules(change.old) if change.old and change.op != "create" else {}
    after = _rules(change.new) if change.new and change.op != "delete" else {}
    for key in dict.fromkeys([*after, *before]):
        model, where, _ = key
        yield Split(model, where, before.get(key), after.get(key))


def _of_outputs(stack: State) -> Iterator[Split]:
    """A preview may leave out routes that stay as they are; the stack's outputs have their weights."""
    for model, entry in _mapping(stack.outputs.get("models")).items():
        weights = _mapping(_mapping(entry).get("weights"))
        shares = {version: int(weight) for version, weight in weights.items() if is_whole(weight)}
        if shares:
            yield Split(model, "", shares, shares)


def _rules(state: State) -> dict[tuple[str, str, int], Weights]:
    """Weights by model, kind of request, and number among rules that are alike in both."""
    spec = _mapping(state.inputs.get("spec"))
    found: dict[tuple[str, str, int], Weights] = {}
    for rule in _entries(spec.get("http")):
        route = _entries(rule.get("route"))
        if not route:
            continue  # a redirect, or a rule that another VirtualService has
        model = _service(route[0])
        where = ", ".join(filter(None, (_entrance(spec), _matched(rule))))
        number = sum(1 for key in found if key[:2] == (model, where))
        found[model, where, number] = _weights(route, model)
    return found


def _weights(route: Sequence[Mapping[str, Any]], model: str) -> Weights:
    weights: dict[str, int | None] = {}
    for destination in route:
        version = _version(destination, model)
        weight = 100 if len(route) == 1 else destination.get("weight", 0)  # a single one's weight is ignored
        known = int(weight) if is_whole(weight) else None
        so_far = weights.get(version, 0)
        weights[version] = None if known is None or so_far is None else so_far + known
    return weights


def _service(destination: Mapping[str, Any]) -> str:
    host = _mapping(destination.get("destination")).get("host")
    return host.split(".")[0] if isinstance(host, str) else "?"


def _version(destination: Mapping[str, Any], model: str) -> str:
    subset = _mapping(destination.get("destination")).get("subset")
    service = _service(destination)
    if not isinstance(subset, str):
        return "all versions" if service == model else service
    return subset if service == model else f"{service}/{subset}"


def _entrance(spec: Mapping[str, Any]) -> str:
    """Where requests come from that pass a gateway; "" for those from within the mesh."""
    gateways = spec.get("gateways")
    if not isinstance(gateways, list) or "mesh" in gateways:
        return ""
    hosts = spec.get("hosts")
    return "through " + ", ".join(str(host) for host in hosts) if isinstance(hosts, list) else "through the gateway"


def _matched(rule: Mapping[str, Any]) -> str:
    """Which requests a rule takes, "" for all."""
    kinds = []
    for match in _entries(rule.get("match")):
        words = []
        for key, value in match.items():
            if key == "gateways":
                continue  # from where, which the path tells as well
            names = f" {', '.join(map(str, value))}" if key in {"headers", "queryParams"} and value else ""
            if key == "uri":
                names = f" {', '.join(str(text) for text in _mapping(value).values())}"
            words.append(f"{key}{names}")
        if words:
            kinds.append(" and ".join(words))
    return "by " + " or ".join(dict.fromkeys(kinds)) if kinds else ""


def _entries(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def cells(shares: Sequence[int], width: int) -> list[int]:
    """Share out the cells of a bar, by largest remainder; whoever has a share gets a cell at least.

    Args:
        shares: weights, 0 or more.
        width: cells in all; widened when there are more shares than cells.

    Returns:
        Cells by share, `width` in sum, or nothing but 0 when no share is above 0.
    """
    total = sum(shares)
    if total <= 0:
        return [0 for _ in shares]
    width = max(width, sum(1 for share in shares if share > 0))
    exact = [share * width / total for share in shares]
    given = [max(1, int(wish)) if share > 0 else 0 for share, wish in zip(shares, exact, strict=True)]
    while (left := width - sum(given)) != 0:
        step = 1 if left > 0 else -1
        open_to = [index for index, share in enumerate(shares) if share > 0 and given[index] + step >= 1]
        wanting = max(open_to, key=lambda index: (exact[index] - given[index]) * step)
        given[wanting] += step
    return given
