"""What a stack's config allows a canary's step to be. No Pulumi import.

The program itself does what it is told: these are the limits of `python -m rollout promote`, and `review` shows them.
"""

from typing import Annotated

from pydantic import Field

from infra import config_fields as fields
from infra.config_fields import text, whole_between
from infra.config_shape import Section

_LONGEST_REASON = 300


class RolloutSettings(Section):
    """Limits of a step.

    Attributes:
        largest_step: by how many percent points a version's share may grow at once.
        shortest_soak_seconds: how long each step is watched at least.
        zero_to_all: whether a version may go from nothing to everything at once.
        override: why the limits do not hold for now; "" where they do.
    """

    largest_step: Annotated[int, whole_between(1, 100, "a step is at most 1-100 percent points", 50)] = Field(
        default=50, alias="largestStep"
    )
    shortest_soak_seconds: Annotated[
        int, whole_between(0, 604_800, "a step is watched for 0-604800 seconds at least", 60)
    ] = Field(default=60, alias="shortestSoakSeconds")
    zero_to_all: fields.Switch = Field(default=False, alias="zeroToAll")
    override: Annotated[
        str,
        text(
            lambda reason: len(reason) <= _LONGEST_REASON and (reason == "" or reason.isprintable()),
            f"it is the reason why the limits do not hold, one line of {_LONGEST_REASON} characters at most",
            "hotfix of a wrong model",
        ),
    ] = ""
