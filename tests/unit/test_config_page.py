"""docs/config.md names every key of a model, with the default that the code has, and its example is a good stack."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from infra.config_ingress import TlsSettings
from infra.config_istio import IstioRevision, IstioSettings
from infra.config_models import ModelInput, VersionInput
from infra.config_rollout import RolloutSettings
from infra.config_shape import keys_of

PAGE = (Path(__file__).parents[2] / "docs/config.md").read_text()
Make = Callable[..., Any]


def keys(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key below a section, as the page writes it, with its default."""
    defaults = {info.alias or name: info.get_default() for name, info in section.model_fields.items()}
    for key, kind in keys_of(section).items():
        yield prefix + key, defaults[key]
        inner = get_args(kind)[0] if isinstance(kind, UnionType) or str(kind).startswith("tuple") else kind
        listed = "[]" if str(kind).startswith("tuple") else ""
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys(inner, f"{prefix}{key}{listed}.")


def table(heading: str, page: str = PAGE) -> dict[str, str]:
    """The defaults of one of a page's tables, by key."""
    part = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [row for row in part.splitlines() if row.startswith("| `")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0].strip("`"): row[2] if len(row) > 2 else "" for row in cells}


def agrees(heading: str, page: str, section: type[BaseModel]) -> None:
    """Fail unless a page's table has every key of a section with its default."""
    found, expected = table(heading, page), dict(keys(section))
    assert list(found) == list(dict.fromkeys(found))
    assert set(found) == set(expected)
    for key, default in expected.items():
        # The default of a text may be told in words, such as whose it is.
        if isinstance(default, bool | int) or (isinstance(default, str) and found[key].startswith("`")):
            assert found[key] == f"`{default if isinstance(default, str) else json.dumps(default)}`", key


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("A model", ModelInput),
        ("A version", VersionInput),
        ("Rollouts", RolloutSettings),
        ("Istio", IstioSettings),
        ("A revision of Istio", IstioRevision),
        ("TLS", TlsSettings),
    ],
)
def test_the_page_has_every_key_with_its_default(heading: str, section: type[BaseModel]) -> None:
    agrees(heading, PAGE, section)


def test_the_example_is_a_good_stack_and_has_every_key(stack: Make) -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    config = {key.removeprefix("tfserving-mesh:"): value for key, value in yaml.safe_load(block[1])["config"].items()}
    stack({key: json.dumps(value) if isinstance(value, int) else value for key, value in config.items()}).parse()
    (model,) = config["models"].values()
    used = set(paths(model)) | {key for version in model["versions"].values() for key in paths(version)}
    assert {key for key, _ in keys(ModelInput)} - {"jwt.jwks"} <= used, "either jwks or jwksUri is given"
    assert {key for key, _ in keys(VersionInput)} <= used
    assert set(table("The stack")) <= set(config)
    assert set(table("Rollouts")) == set(config["rollout"])
    assert set(table("Istio")) == {key for key, _ in keys(IstioSettings)} <= set(paths(config["istio"]))
    assert set(table("A revision of Istio")) == set(config["istio"]["revisions"]["1-31-0"])


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    for key, item in value.items() if isinstance(value, dict) else ():
        yield prefix + key
        if isinstance(item, list):
            for each in item:
                yield from paths(each, f"{prefix}{key}[].")
        else:
            yield from paths(item, f"{prefix}{key}.")
