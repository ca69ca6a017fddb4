"""Rules under promtool, as Prometheus itself evaluates them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox import materials

INTERVAL = 15  # seconds between two samples and evaluations


def program() -> Path:
    """Return promtool, taken from Debian's package if nobody has done so yet."""
    if not materials.prometheus_folder().exists():
        materials.build_prometheus()
    return materials.prometheus_folder() / "promtool"


@dataclass
class Rules:
    """Rule groups, the series they are fed with, and what is to come out."""

    groups: list[dict[str, Any]]
    folder: Path
    inputs: list[dict[str, str]] = field(default_factory=list)
    expressions: list[dict[str, Any]] = field(default_factory=list)

    def feed(self, series: str, values: str) -> None:
        """Give a series its samples, in promtool's notation ("0+15x40" grows by 1 a second)."""
        self.inputs.append({"series": series, "values": values})

    def expect(self, expression: str, samples: Mapping[str, float], minutes: float = 10) -> None:
        """Demand these samples, by series, of an expression some minutes after the first evaluation."""
        wanted = [{"labels": series, "value": value} for series, value in samples.items()]
        self.expressions.append({"expr": expression, "eval_time": f"{int(minutes * 60)}s", "exp_samples": wanted})

    def expect_alert(self, name: str, labels: Sequence[Mapping[str, str]], minutes: float = 10) -> None:
        """Demand that an alert fires with these label sets, and no others."""
        firing = f'ALERTS{{alertname="{name}", alertstate="firing"}}'
        samples = {}
        for each in labels:
            pairs = {"alertname": name, "alertstate": "firing", **each}
            samples["ALERTS{" + ", ".join(f'{label}="{value}"' for label, value in pairs.items()) + "}"] = 1.0
        self.expect(firing, samples, minutes)

    def check(self) -> subprocess.CompletedProcess[str]:
        """Run promtool on all of it."""
        (self.folder / "rules.yaml").write_text(yaml.safe_dump({"groups": self.groups}))
        tests = {
            "interval": f"{INTERVAL}s",
            "input_series": self.inputs,
            "promql_expr_test": self.expressions,
        }
        whole = {
            "rule_files": ["rules.yaml"],
            "evaluation_interval": f"{INTERVAL}s",
            # a group may read what an earlier one recorded at the same instant
            "group_eval_order": [group["name"] for group in self.groups],
            "tests": [tests],
        }
        (self.folder / "tests.yaml").write_text(yaml.safe_dump(whole))
        command: list[str | Path] = [program(), "test", "rules", "tests.yaml"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    def hold(self) -> None:
        """Fail with what promtool says unless all came out."""
        done = self.check()
        assert done.returncode == 0, done.stdout + done.stderr
