"""How long the mesh's certificates are valid, as the stack's config has it. No Pulumi import."""

from datetime import timedelta
from typing import Final

from infra.config_errors import MISSING, Remove, Report, Set
from infra.config_fields import whole_number
from infra.config_shape import Section

ROOT_DAYS: Final = 3650
INTERMEDIATE_DAYS: Final = 365
WORKLOAD_HOURS: Final = 24  # what Istio's proxies ask for by themselves
HOURS_OF_A_DAY: Final = 24


class Lifetimes(Section):
    """How long a certificate is valid that is made from now on; one that is there already keeps its end.

    Attributes:
        root_days: the root's.
        intermediate_days: that of the CA which istiod signs with; the root's end is its end at the latest.
        workload_hours: a proxy's; the intermediate's end is its end at the latest.
    """

    root_days: int = ROOT_DAYS
    intermediate_days: int = INTERMEDIATE_DAYS
    workload_hours: int = WORKLOAD_HOURS

    @property
    def root(self) -> timedelta:
        """The root's, as a length of time."""
        return timedelta(days=self.root_days)

    @property
    def intermediate(self) -> timedelta:
        """The intermediate's, as a length of time."""
        return timedelta(days=self.intermediate_days)


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
