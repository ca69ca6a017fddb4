"""Weight arithmetic: what each version of a model is given of its traffic, in percent."""

from collections.abc import Iterable, Mapping, Sequence

WHOLE = 100


def shares(versions: Sequence[str], stable: str, weights: Mapping[str, int]) -> dict[str, int]:
    """Give every version its share of the traffic; the stable one gets what the others leave.

    Args:
        versions: names of all versions, in the order the result keeps.
        stable: the version that gets the rest; one of `versions`.
        weights: percent, 0-100, by version; a version that is not named starts at 0.

    Returns:
        Percent by version, in the order of `versions`, 100 in sum.

    Raises:
        ValueError: a weight of no version, of the stable one, outside 0-100, or a sum above 100.
    """
    if stable not in versions:
        raise ValueError(f"the stable version {stable!r} is none of {', '.join(versions)}")
    for version, weight in weights.items():
        if version not in versions:
            raise ValueError(f"a weight for {version!r}, which is none of {', '.join(versions)}")
        if version == stable:
            raise ValueError(f"a weight for {version!r}, the stable version, which gets what is left")
        if not 0 <= weight <= WHOLE:
            raise ValueError(f"the weight of {version!r} is {weight}; a weight is 0-{WHOLE}")
    rest = remainder(weights.values())
    if rest < 0:
        raise ValueError(f"the weights sum to {WHOLE - rest}; they have {WHOLE} to share")
    return {version: rest if version == stable else weights.get(version, 0) for version in versions}


def remainder(weights: Iterable[int]) -> int:
    """What the given weights leave of the whole, in percent; below 0 when they ask for more than there is."""
    return WHOLE - sum(weights)


def fitted(weights: Mapping[str, int]) -> dict[str, int]:
    """Cut weights down, the last ones first, until they fit into the whole; those that fit already stay as they are."""
    left, cut = WHOLE, {}
    for version, weight in weights.items():
        cut[version] = min(weight, left)
        left -= cut[version]
    return cut
