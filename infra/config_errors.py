"""What is wrong with a stack's config, told so that it can be mended: key, value, what would be right, the command."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        key: as one types it, "v2Weight" or "models.inception.path".
        value: as it was found, or "secret" or "missing".
        message: what would be right.
        fix: the command that mends it.
    """

    key: str
    value: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.key} is {self.value}; {self.message}. Run: {self.fix}"


class SettingsError(Exception):
    """A config that cannot be used; str() has one line for each problem.

    Attributes:
        problems: all that is wrong, never empty.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
