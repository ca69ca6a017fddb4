"""docs/monitoring.md names every key, every alert and every series of a version, and its example is a good stack."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from infra.config_monitoring import MonitoringSettings
from infra.metrics import alerts, series
from tests.unit.test_config_page import agrees, table

PAGE = (Path(__file__).parents[2] / "docs/monitoring.md").read_text()
Make = Callable[..., Any]


def test_the_page_has_every_key_with_its_default() -> None:
    agrees("Config", PAGE, MonitoringSettings)


def test_the_example_is_a_good_stack(stack: Make, inception: dict[str, Any]) -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    given = yaml.safe_load(block[1])["config"]["tfserving-mesh:monitoring"]
    assert stack(models=inception, monitoring=given).parse().monitoring.prometheus.storage == "50Gi"


def test_the_page_has_every_alert() -> None:
    names = {rule["alert"] for group in alerts.groups(15) for rule in group["rules"]}
    assert set(table("Alerts", PAGE)) == names


def test_the_page_has_every_series_of_a_version() -> None:
    names = {
        value for name, value in vars(series).items() if name.isupper() and str(value).startswith("model_version:")
    }
    missing = [name for name in names if name not in PAGE and name.rpartition(":")[2] not in PAGE]
    assert missing == []
