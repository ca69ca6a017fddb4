"""How a figure grows with the number of models: a straight line through the measured points, and how far off it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from scipy.stats import linregress


@dataclass(frozen=True)
class Line:
    """A straight line through measured points.

    Attributes:
        each: what one more model adds.
        base: what there would be without any.
        off: the largest distance of a point from the line, as a fraction of the largest point.
    """

    each: float
    base: float
    off: float


def line(points: Mapping[int, float]) -> Line:
    """Fit a line to figures by number of models, by least squares.

    Raises:
        ValueError: there are fewer than two points.
    """
    fit = linregress(list(points), list(points.values()))
    each, base = float(fit.slope), float(fit.intercept)
    distance = max(abs(base + each * models - value) for models, value in points.items())
    return Line(each, base, distance / max(points.values()))


def steps(points: Mapping[int, float]) -> dict[int, float]:
    """Return what each model added since the size before, by size; a sum that grows faster than a line shows here."""
    sizes = sorted(points)
    return {larger: (points[larger] - points[smaller]) / (larger - smaller) for smaller, larger in pairwise(sizes)}
