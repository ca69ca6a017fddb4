"""An autoscaler that leaves the config is gone before the pods are counted by the config again: no two at one count."""

from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import Project

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
# The component is the program's own. A stash stands for each object of the cluster: the order is the engine's business.
PROGRAM = """
    import json
    import sys
    sys.path.insert(0, {root!r})
    import pulumi
    from infra import serving
    from infra.model_server import ModelVersionArgs
    from infra.settings import parse

    class Kept(pulumi.Stash):
        def __init__(self, name, manifest, opts=None):
            super().__init__(name, input=dict(manifest), opts=opts)
            self.object_name = "config"

    serving.KubernetesObject = Kept
    model = {{"path": "gs://my-models/inception", "callers": "any", "versions": {{"v1": {version!r}}}}}
    models = {{"inception": model}}
    config = {{"tfserving-mesh:models": json.dumps(models)}}
    model, = parse(config, project="tfserving-mesh", stack="test").models
    serving.ModelVersion("inception-v1", ModelVersionArgs(model, model.versions[0], "models"))
"""
SCALED = {"model": 1, "autoscaling": {"min": 2, "max": 10}}
COUNTED = {"model": 1, "replicas": 2}


def version(project: Project, **version: Any) -> Project:
    project.program(PROGRAM.format(root=str(ROOT), version=version))
    return project


def test_the_autoscaler_goes_before_the_pods_are_given_the_configs_count(project: Project) -> None:
    version(project, **SCALED).up()
    done = [(step.op, step.name) for step in version(project, **COUNTED).up().steps]
    gone, counted = ("delete-replaced", "inception-v1-autoscaler"), ("update", "inception-v1-deployment")
    assert done.index(gone) < done.index(counted), done
    left = [entry["urn"] for entry in project.export()["deployment"]["resources"]]
    assert not any("autoscaler" in urn for urn in left), left
    assert version(project, **COUNTED).up().changes == {}


def test_an_autoscaler_comes_after_the_pods_and_stays_as_long_as_it_is_wanted(project: Project) -> None:
    version(project, **COUNTED).up()
    done = [(step.op, step.name) for step in version(project, **SCALED).up().steps]
    assert done.index(("update", "inception-v1-deployment")) < done.index(("create", "inception-v1-autoscaler")), done
    assert version(project, **SCALED).up().changes == {}
    wider = version(project, **SCALED | {"autoscaling": {"min": 3, "max": 10}}).up()
    assert wider.ops("inception-v1-autoscaler") == ["update"]
