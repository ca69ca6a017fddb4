"""`python -m rollout review` of real previews of this program, from a state that no cluster was needed for.

The example in docs/ is one of them. To write it anew after a change of the review or of the program:

    REVIEW_EXAMPLE=write .venv/bin/pytest tests/engine/test_review.py -k example
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import certificates, naming
from rollout.review_values import SECRET_SIGNATURE, SIGNATURE, UNKNOWN_TEXTS
from sandbox.paths import CHECKOUT
from sandbox.pulumi_env import Tools
from tests.engine.conftest import STACK, Project

pytestmark = pytest.mark.engine

EXAMPLE = CHECKOUT / "docs" / "review-example.md"
STREAMING = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
CONFIG = {
    "models": {
        "inception": {
            "path": "gs://my-models/inception",
            "callers": "any",
            "versions": {"v1": {"model": 1}, "v2": {"model": 2}},
        },
        "resnet": {"path": "gs://my-models/resnet", "callers": "any", "versions": {"v1": {"model": 7}}},
    },
    "namespace": "models",
    "image": "tensorflow/serving:2.20.0",
    "istio": {"charts": "./charts"},
}


class Deployed:
    """The program's stack as it is after an `up`: its state holds what a preview says that one would make."""

    def __init__(self, project: Project, weight: str = "5") -> None:
        self.project = project
        project.program(f"""
            import runpy, sys
            sys.path.insert(0, {str(CHECKOUT)!r})
            runpy.run_path({str(CHECKOUT / "__main__.py")!r}, run_name="__main__")
        """)
        for chart in ("base", "istiod", "gateway"):
            project.write(f"charts/{chart}/Chart.yaml", f"apiVersion: v2\nname: {chart}\nversion: 1.30.4\n")
        user, cluster = {"token": "made-up"}, {"server": "https://127.0.0.1:1"}
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "me", "user": user}],
        }
        file = project.write("kubeconfig", yaml.safe_dump(kubeconfig))
        self.config: dict[str, Any] = json.loads(json.dumps(CONFIG))
        self.config["cluster"] = {"kind": "existing", "kubeconfig": str(file), "context": "here"}
        self.set("inception:v2Weight", weight)
        self._import(json.loads(project.run("preview", "--json").stdout), self._outputs())

    def set(self, key: str, value: object) -> None:
        """Puts a value into the stack's config."""
        self.config[key] = value
        file = self.project.folder / f"Pulumi.{STACK}.yaml"
        kept = yaml.safe_load(file.read_text()) or {}
        keys = {name if ":" in name else f"{naming.PROJECT}:{name}": entry for name, entry in self.config.items()}
        file.write_text(yaml.safe_dump(kept | {"config": keys}))

    def preview(self, *, fails: bool = False, streaming: bool = False) -> str:
        """What `pulumi preview --json` prints."""
        done = self.project.run("preview", "--json", check=False, **(STREAMING if streaming else {}))
        assert (done.code != 0) == fails, done.text
        return done.stdout

    def _outputs(self) -> dict[str, Any]:
        events = [json.loads(line) for line in self.preview(streaming=True).splitlines()]
        stacks = [event["resOutputsEvent"]["metadata"]["new"] for event in events if "resOutputsEvent" in event]
        return next(stack["outputs"] for stack in reversed(stacks) if stack["type"] == "pulumi:pulumi:Stack")

    def _import(self, digest: dict[str, Any], outputs: dict[str, Any]) -> None:
        root = certificates.make_root()
        intermediate = certificates.make_intermediate(root)
        files = {
            name: base64.b64encode(content.encode()).decode()
            for name, content in certificates.cacerts(root, intermediate).items()
        }
        pairs = {"injector-root": root, "injector-intermediate": intermediate}
        urn = f"urn:pulumi:{STACK}::{naming.PROJECT}::pulumi:providers:pulumi::default"
        resources: list[dict[str, Any]] = [{"urn": urn, "custom": True, "id": "default", "type": urn.split("::")[2]}]
        for step in digest["steps"]:
            entry = {key: value for key, value in step["newState"].items() if key != "stackTrace"}
            name = entry["urn"].rsplit("::", 1)[-1]
            inputs = entry.get("inputs", {})
            if entry["custom"]:
                entry["id"] = name
                entry["outputs"] = {key: value for key, value in inputs.items() if key != "__internal"}
            if name in pairs:
                pair = secret({"certificate": pairs[name].certificate_pem, "key": pairs[name].key_pem})
                entry["inputs"], entry["outputs"] = {"input": pair}, {"input": pair, "output": pair}
            elif name == "injector-cacerts":
                inputs["data"] = secret(files)
            elif name == "injector-roots":
                entry["outputs"]["output"] = inputs["input"]
            if entry["type"].startswith("kubernetes:"):
                own = {"__initialApiVersion": inputs.get("apiVersion", ""), "__fieldManager": "pulumi-kubernetes-1"}
                entry["outputs"] = {**inputs, "__inputs": inputs, **own}
            if entry["type"] == "pulumi:pulumi:Stack":
                ca = {"rootCertificate": root.certificate_pem, "intermediateCertificate": intermediate.certificate_pem}
                entry["outputs"] = {**outputs, **ca}
            if "provider" in entry:
                provider = entry["provider"].rpartition("::")[0]
                entry["provider"] = f"{provider}::{provider.rsplit('::', 1)[-1]}"
            resources.append(known(entry, name))
        salt = yaml.safe_load((self.project.folder / f"Pulumi.{STACK}.yaml").read_text())["encryptionsalt"]
        deployment = {
            "manifest": {"time": "2026-01-01T00:00:00Z", "magic": "", "version": ""},
            "secrets_providers": {"type": "passphrase", "state": {"salt": salt}},
            "resources": resources,
        }
        self.project.write("state.json", json.dumps({"version": 3, "deployment": deployment}))
        self.project.run("stack", "import", "--file", "state.json")


def secret(value: object) -> dict[str, str]:
    return {SIGNATURE: SECRET_SIGNATURE, "plaintext": json.dumps(value)}


def known(value: Any, name: str) -> Any:
    """A value as it is after an `up`, when nothing is unknown any more."""
    if isinstance(value, dict):
        return {key: known(element, name) for key, element in value.items()}
    if isinstance(value, list):
        return [known(element, name) for element in value]
    return f"known-{name}" if isinstance(value, str) and value in UNKNOWN_TEXTS else value


def review(text: str, *args: str) -> tuple[int, str]:
    """Exit code and Markdown of the command."""
    done = subprocess.run(
        [sys.executable, "-m", "rollout", "review", *args],
        cwd=CHECKOUT,
        input=text.encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == b"", done.stderr.decode()
    return done.returncode, done.stdout.decode()


def first_line(markdown: str) -> str:
    marker, line = markdown.split("\n")[:2]
    assert marker == f"<!-- tfserving-mesh review: {STACK} -->"
    return line.removeprefix(f"### `{STACK}`: ")


@pytest.fixture
def deployed(
    request: pytest.FixtureRequest, pulumi_environ: dict[str, str], tmp_path: Path, kubernetes_plugin: Tools
) -> Deployed:
    if kubernetes_plugin.kubernetes.real:
        pytest.skip("the real plugin ends with a nil pointer when it previews an update without its cluster")
    backend = tmp_path / "state"
    backend.mkdir()
    environ = pulumi_environ | {"PULUMI_BACKEND_URL": backend.as_uri()}
    project = Project(tmp_path / "project", environ, name=naming.PROJECT)
    return Deployed(project, str(getattr(request, "param", "5")))


def test_a_plan_without_changes_says_so_and_passes(deployed: Deployed) -> None:
    for streaming in (False, True):
        code, markdown = review(deployed.preview(streaming=streaming), "--weights-only")
        assert first_line(markdown) == "Nothing changes"
        assert "Weights only: yes" in markdown
        assert "- `inception`: `v1` 95 %, `v2` 5 %" in markdown
        assert code == 0


def test_a_weight_change_moves_weights_and_nothing_else_and_is_the_example(deployed: Deployed) -> None:
    deployed.set("inception:v2Weight", "25")
    for streaming in (False, True):
        code, markdown = review(deployed.preview(streaming=streaming), "--weights-only")
        assert first_line(markdown) == "`inception`: `v2` 5 % → 25 %, nothing else changes"
        assert "No pod restarts." in markdown
        assert "- `resnet`: `v1` 100 %" in markdown
        assert code == 0
    code, markdown = review(deployed.preview(streaming=True), "--stack", "dev")
    if os.environ.get("REVIEW_EXAMPLE") == "write":
        EXAMPLE.write_text(markdown)
    assert markdown == EXAMPLE.read_text(), "stale: REVIEW_EXAMPLE=write .venv/bin/pytest tests/engine/test_review.py"


def test_a_step_beyond_the_stacks_limits_is_shown_with_the_reason_where_there_is_one(deployed: Deployed) -> None:
    deployed.set("inception:v2Weight", "80")
    for streaming in (False, True):
        code, markdown = review(deployed.preview(streaming=streaming), "--weights-only")
        assert "**Beyond the limits of a step**, and `rollout.override` gives no reason." in markdown
        assert "- `inception`: `v2` goes from 5 to 80 in one step; rollout.largestStep is 50" in markdown
        assert code == 0
    deployed.set("rollout", {"override": "v1 answers nonsense"})
    _, markdown = review(deployed.preview())
    assert "**Beyond the limits of a step**, because: v1 answers nonsense" in markdown


@pytest.mark.parametrize("deployed", ["100"], indirect=True)
def test_a_version_that_has_everything_becomes_stable_without_a_change_of_more_than_weights(deployed: Deployed) -> None:
    deployed.config.pop("inception:v2Weight")
    deployed.config["models"]["inception"]["stable"] = "v2"
    deployed.set("models", deployed.config["models"])
    for streaming in (False, True):
        code, markdown = review(deployed.preview(streaming=streaming), "--weights-only")
        assert code == 0, markdown
        assert first_line(markdown) == "Nothing changes"


def test_another_image_restarts_the_versions_pods_and_is_more_than_weights(deployed: Deployed) -> None:
    deployed.set("inception:v2Weight", "25")
    deployed.config["models"]["inception"]["versions"]["v2"]["image"] = "tensorflow/serving:2.19.1"
    deployed.set("models", deployed.config["models"])
    code, markdown = review(deployed.preview(), "--weights-only")
    assert "`v2` 5 % → 25 %; the pods of `models/inception-v2` restart" in first_line(markdown)
    assert (
        "- Deployment `models/inception-v2` (2 pods) restarts: `spec.containers[0].image`: "
        "`tensorflow/serving:2.20.0` → `tensorflow/serving:2.19.1`\n" in markdown
    )
    assert "models/inception-v1" not in markdown
    beyond = markdown.split("This goes beyond weights:")[1].split("####")[0]
    assert beyond.strip() == "- update Deployment `models/inception-v2`: `spec.template.spec.containers[0].image`"
    assert code == 1


def test_another_model_number_ripples_through_its_configuration_to_the_pods(deployed: Deployed) -> None:
    deployed.config["models"]["resnet"]["versions"]["v1"]["model"] = 8
    deployed.set("models", deployed.config["models"])
    code, markdown = review(deployed.preview())
    assert "the pods of `models/resnet-v1` restart" in first_line(markdown)
    assert "`spec.volumes[0].configMap.name`" in markdown
    assert code == 0


def test_an_added_version_starts_at_zero(deployed: Deployed) -> None:
    models = deployed.config["models"]
    models["inception"]["versions"]["v3"] = {"model": 3}
    deployed.set("models", models)
    code, markdown = review(deployed.preview(), "--weights-only")
    assert first_line(markdown).startswith("`inception`: `v3` new at 0 %; ")
    assert re.search(r"^v3 +- +0 %  ░{20}   new$", markdown, re.MULTILINE)
    assert "- Deployment `models/inception-v3` (2 pods) is new" in markdown
    assert code == 1


@pytest.mark.parametrize("deployed", ["0"], indirect=True)
def test_a_removed_version_is_shown(deployed: Deployed) -> None:
    remove_second(deployed)
    code, markdown = review(deployed.preview(), "--weights-only")
    assert "`v2` 0 % → removed" in first_line(markdown)
    assert "- Deployment `models/inception-v2` (2 pods) goes" in markdown
    assert code == 1


def test_a_version_that_is_removed_with_its_traffic_is_told_in_the_first_line(deployed: Deployed) -> None:
    remove_second(deployed)
    code, markdown = review(deployed.preview(fails=True, streaming=True), "--weights-only")
    assert "failed" in first_line(markdown)
    assert "the route still sends requests to v2 (5 %)" in markdown
    assert code == 1


def remove_second(deployed: Deployed) -> None:
    models = deployed.config["models"]
    del models["inception"]["versions"]["v2"], deployed.config["inception:v2Weight"]
    deployed.set("models", models)


def test_another_namespace_is_called_a_replacement_of_all_that_is_in_it(deployed: Deployed) -> None:
    deployed.set("namespace", "serving")
    code, markdown = review(deployed.preview())
    assert first_line(markdown).startswith(
        "The namespace `serving` will be REPLACED: everything in it is deleted and made anew"
    )
    assert "`metadata.name`: `models` → `serving`" in markdown
    assert markdown.index("[!CAUTION]") < markdown.index("#### Pods")
    assert code == 0


def test_another_ca_generation_is_told_and_shows_no_key(deployed: Deployed) -> None:
    deployed.set("caGeneration", 2)
    preview = deployed.preview()
    _, markdown = review(preview)
    assert "kept key (Stash) `injector-intermediate` **will be REPLACED**" in markdown
    assert "PRIVATE KEY" not in markdown


def test_a_failed_preview_is_quoted_in_the_first_line(deployed: Deployed) -> None:
    deployed.set("inception:v2Weight", "120")
    preview = deployed.preview(fails=True)
    code, markdown = review(preview, "--weights-only", "--stack", STACK)
    assert first_line(markdown).startswith("The preview failed: ")
    assert "120" in first_line(markdown)
    assert "v2Weight is 120; a weight is an integer from 0 to 100" in markdown
    assert code == 1
    assert review(preview)[0] == 0


def test_a_refused_replacement_of_what_is_protected_names_it(project: Project) -> None:
    program = """
        import pulumi
        pulumi.Stash("key", input=1, opts=pulumi.ResourceOptions(protect=True, replacement_trigger={trigger}))
    """
    project.program(textwrap.dedent(program.format(trigger=1)))
    project.up()
    project.program(textwrap.dedent(program.format(trigger=2)))
    for environ in ({}, STREAMING):
        done = project.run("preview", "--json", check=False, **environ)
        assert done.code != 0
        _, markdown = review(done.stdout)
        assert "the kept key (Stash) `key` would have to be REPLACED, which its protection forbids" in markdown


def test_a_violated_policy_fails_the_check(project: Project, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    options = {"virtualenv": sys.prefix}
    (pack / "PulumiPolicy.yaml").write_text(yaml.safe_dump({"runtime": {"name": "python", "options": options}}))
    (pack / "__main__.py").write_text(
        textwrap.dedent("""
            from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

            def never(args, report):
                report("nothing may be kept")

            PolicyPack("words", policies=[
                ResourceValidationPolicy("no-stash", "no stash", never, EnforcementLevel.MANDATORY)])
        """)
    )
    project.program("import pulumi\npulumi.Stash('word', input=1)")
    done = project.run("preview", "--json", "--policy-pack", str(pack), check=False, **STREAMING)
    assert done.code != 0
    code, markdown = review(done.stdout, "--weights-only")
    assert "The preview failed: it breaks `words/no-stash`" in markdown
    assert "nothing may be kept" in markdown
    assert code == 1
    done = project.run("preview", "--json", "--policy-pack", str(pack), check=False)
    code, markdown = review(done.stdout, "--weights-only")
    assert "a policy may be broken" in markdown, "the document does not name policies"
    assert code == 1
