"""Shares of a route sum to 100: Istio takes any weights as proportions and would let a typo pass without a word."""

from collections.abc import Iterator

from infra.weights import WHOLE
from policy.resource import Resource, Unknown, at, entries


def violations(resource: Resource) -> Iterator[str]:
    """Yield the routes of a VirtualService whose weights are no shares."""
    if not resource.is_kind("networking.istio.io", "VirtualService"):
        return
    for protocol in ("http", "tcp", "tls"):
        for index, rule in enumerate(entries(resource.at("spec", protocol))):
            weights = [at(destination, "weight") for destination in entries(at(rule, "route"))]
            if any(isinstance(weight, Unknown) for weight in weights) or weights in ([], [None]):
                continue  # one destination without a weight gets everything
            if not _are_shares(weights):
                yield resource.wrong(
                    f"the sum of spec.{protocol}[{index}].route[*].weight",
                    _sum(weights),
                    f"shares sum to {WHOLE}",
                    "Weights come from the config (pulumi config set v2Weight 25) and are summed in infra/routing.py; "
                    "a route made elsewhere is mended where it is made",
                )


def _are_shares(weights: list[object]) -> bool:
    numbers = _numbers(weights)
    return len(numbers) == len(weights) and min(numbers) >= 0 and sum(numbers) == WHOLE


def _numbers(weights: list[object]) -> list[int | float]:
    # a destination without a weight beside others has weight 0
    given = [0 if weight is None else weight for weight in weights]
    return [weight for weight in given if isinstance(weight, int | float) and not isinstance(weight, bool)]


def _sum(weights: list[object]) -> str:
    terms = " + ".join("nothing" if weight is None else repr(weight) for weight in weights)
    return f"{terms} = {sum(_numbers(weights))}" if len(_numbers(weights)) == len(weights) else terms
