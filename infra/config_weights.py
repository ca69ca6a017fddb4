"""Which config keys are weights, whose they are, and whether they can be what they say. No Pulumi import."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from infra.config_errors import HIDDEN, Remove, Report, Set, closest, similar
from infra.config_fields import whole_number
from infra.weights import WHOLE, fitted, remainder

# Namespaces of the providers that this program uses; whatever they hold is theirs.
PROVIDERS: Final = frozenset({"gcp", "kubernetes", "pulumi"})
_WEIGHT: Final = re.compile(r"(.+)Weight")
_LIKE_A_WEIGHT: Final = re.compile(r".*weight", re.IGNORECASE)
_EXAMPLE: Final = 25
_RIGHT: Final = f"a weight is an integer from 0 to {WHOLE}"


@dataclass(frozen=True)
class Declared:
    """What a model's versions are called, as they stand in the config.

    Attributes:
        versions: their names in order.
        stable: the one that gets what is left; None when the config names one that there is not.
    """

    versions: tuple[str, ...]
    stable: str | None

    @property
    def weight_keys(self) -> list[str]:
        """The keys that may hold a weight, without a namespace."""
        return [f"{version}Weight" for version in self.versions if version != self.stable]


class WeightReader:
    """Sorts the keys that are not the program's fixed ones: to a model's version, or into the report."""

    def __init__(self, models: Mapping[str, Declared], fixed: Collection[str], report: Report) -> None:
        """Begin with no weight.

        Args:
            models: every model that the config declares; of one that has faults, what can be told.
            fixed: the keys of the project's namespace that are no weights.
            report: holds the config, and takes what is wrong with it.
        """
        self._models = models
        self._fixed = fixed
        self._report = report
        self._keys: dict[str, dict[str, str]] = {model: {} for model in models}

    def read(self, keys: Iterable[str]) -> dict[str, dict[str, int]]:
        """Read the weights out of all keys but the fixed ones, keys of the project's namespace without it.

        Returns:
            Percent by model and version; what is in the report is left out.
        """
        for key in sorted(keys, key=lambda key: ":" not in key):
            if ":" in key:
                self._sort_qualified(key)
            else:
                self._sort_short(key)
        return {model: self._values(model) for model in self._models}

    def _sort_qualified(self, key: str) -> None:
        namespace, _, name = key.partition(":")
        if namespace in self._models:
            self._sort_into(namespace, key, name)
        elif namespace not in PROVIDERS and _LIKE_A_WEIGHT.fullmatch(name):
            self._report_stray(key, namespace, name)

    def _report_stray(self, key: str, namespace: str, name: str) -> None:
        labels = {version for declared in self._models.values() for version in declared.versions}
        meant = closest(namespace, self._models)
        if meant is not None:
            right = f"{meant}:{name}"
            edits = self._report.move((key,), (right,))
            self._report.add((key,), f"there is no model {namespace}; did you mean {right}?", *edits)
        elif similar(namespace, self._models) or name in {f"{label}Weight" for label in labels}:
            self._report.add((key,), f"there is no model {namespace}, so nothing has this weight", Remove((key,)))

    def _sort_short(self, key: str) -> None:
        if _WEIGHT.fullmatch(key) and not self._models:
            self._value(key, _EXAMPLE)  # whose it is cannot be told
        elif _WEIGHT.fullmatch(key) and len(self._models) > 1:
            self._report_unqualified(key)
        elif len(self._models) == 1:
            (model,) = self._models
            self._sort_into(model, key, key, self._fixed)
        else:
            self._report_unknown(key, key, self._fixed)

    def _sort_into(self, model: str, key: str, name: str, others: Collection[str] = ()) -> None:
        declared = self._models[model]
        match = _WEIGHT.fullmatch(name)
        if match is None or match[1] not in declared.versions:
            self._report_unknown(key, name, [*declared.weight_keys, *others])
        elif match[1] == declared.stable:
            message = f"{match[1]} is the stable version of {model}, which gets what the others leave"
            self._report.add((key,), message, Remove((key,)))
        elif match[1] in self._keys[model]:
            other = self._keys[model][match[1]]
            message = f"{other} is the same weight, and only one of the two can hold"
            self._report.add((key,), message, Remove((key,)))
        else:
            self._keys[model][match[1]] = key

    def _report_unknown(self, key: str, name: str, known: Collection[str]) -> None:
        match = _WEIGHT.fullmatch(name)
        if match is None:
            meant = closest(name, known)
        else:
            # the part that all weights have in common would make any two of them alike
            labels = [label[1] for label in map(_WEIGHT.fullmatch, known) if label]
            version = closest(match[1], labels)
            meant = version and f"{version}Weight"
        if meant:
            right = key.removesuffix(name) + meant
            edits = self._report.move((key,), (right,))
            self._report.add((key,), f"there is no such key; did you mean {right}?", *edits)
        elif match:
            self._report.add((key,), f"no version {match[1]} is declared, so nothing has this weight", Remove((key,)))
        else:
            message = f"there is no such key; there are {', '.join(known)}" if known else "there is no such key"
            self._report.add((key,), message, Remove((key,)))

    def _report_unqualified(self, key: str) -> None:
        owners = [model for model, declared in self._models.items() if key in declared.weight_keys]
        places = " or ".join(f"{model}:{key}" for model in owners or self._models)
        message = f"with several models a weight is one model's own: {places}"
        found = whole_number(self._report.at((key,)))
        if not owners:
            self._report.add((key,), message, Remove((key,)))
        elif found is None or not 0 <= found <= WHOLE:
            edits = Set((f"{owners[0]}:{key}",), _EXAMPLE), Remove((key,))
            self._report.add((key,), f"{_RIGHT}, and {message}", *edits)
        else:
            self._report.add((key,), message, *self._report.move((key,), (f"{owners[0]}:{key}",)))

    def _values(self, model: str) -> dict[str, int]:
        versions = self._models[model].versions
        keys = {version: self._keys[model][version] for version in versions if version in self._keys[model]}
        found = {version: self._weight(key) for version, key in keys.items()}
        values = {version: weight for version, weight in found.items() if weight is not None}
        broken = [key for version, key in keys.items() if found[version] is None]
        left = max(0, remainder(values.values()))
        for key in broken:
            self._report.add((key,), _RIGHT, Set((key,), min(_EXAMPLE, left // len(broken))))
        if remainder(values.values()) < 0:
            self._report_sum(values, keys)
        return values

    def _value(self, key: str, example: int) -> None:
        if self._weight(key) is None:
            self._report.add((key,), _RIGHT, Set((key,), example))

    def _weight(self, key: str) -> int | None:
        number = whole_number(self._report.at((key,)))
        return number if number is not None and 0 <= number <= WHOLE else None

    def _report_sum(self, values: Mapping[str, int], keys: Mapping[str, str]) -> None:
        total = f"{' + '.join(map(str, values.values()))} = {sum(values.values())}"
        hidden = any(keys[version] in self._report.secrets for version in values)
        fits = fitted(values)
        self._report.add(
            (" + ".join(keys[version] for version in values),),
            f"the weights of a model sum to {WHOLE} at most",
            *(Set((keys[version],), fits[version]) for version in values if fits[version] != values[version]),
            value=HIDDEN if hidden else total,
        )
