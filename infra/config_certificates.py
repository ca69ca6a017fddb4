"""The mesh's CA as the stack's config has it: which one, and how long certificates are valid. No Pulumi import."""

from datetime import timedelta
from typing import Final

from infra.config_errors import MISSING, Remove, Report, Set
from infra.config_fields import whole_number
from infra.config_shape import Section
from infra.roots import Roots

ROOT_DAYS: Final = 3650
INTERMEDIATE_DAYS: Final = 365
WORKLOAD_HOURS: Final = 24  # what Istio's proxies ask for by themselves
HOURS_OF_A_DAY: Final = 24


class CaSettings(Section):
    """The CA. A lifetime is that of certificates made from now on; one that is there already keeps its end.

    Attributes:
        generation: raising it makes a new intermediate under the same root.
        roots: which roots there are.
        root_lifetime: the root's.
        intermediate_lifetime: that of the CA which istiod signs with; the root's end is its end at the latest.
        workload_hours: a proxy's; the intermediate's end is its end at the latest.
    """

    generation: int
    roots: Roots
    root_lifetime: timedelta
    intermediate_lifetime: timedelta
    workload_hours: int


def check_lifetimes(report: Report) -> None:
    """Report a certificate that would outlive the one it is signed by; a wrong number is told by its own key."""
    root, intermediate, workload = (
        default if (found := report.at((key,))) is MISSING else whole_number(found)
        for key, default in (
            ("caRootDays", ROOT_DAYS),
            ("caIntermediateDays", INTERMEDIATE_DAYS),
            ("workloadCertHours", WORKLOAD_HOURS),
        )
    )
    if root is not None and intermediate is not None and intermediate > root:
        place = ("caIntermediateDays",)
        right = f"the root signs it and ends no earlier: at most caRootDays, {root}"
        report.add(place, right, Set(place, str(root)))
    if intermediate is not None and workload is not None and workload > intermediate * HOURS_OF_A_DAY:
        place = ("workloadCertHours",)
        right = f"the intermediate signs it and ends no earlier: at most its {intermediate} days"
        report.add(place, right, Remove(place))
