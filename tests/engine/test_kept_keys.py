"""The pattern for private keys: made anew by every run, kept by `pulumi.Stash`, rotated by a number in the config."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.engine.conftest import Outcome, Project

pytestmark = pytest.mark.engine

PROGRAM = """
    import hashlib
    import pulumi
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    kept = pulumi.Stash(
        "key",
        input=pulumi.Output.secret(pem),
        opts=pulumi.ResourceOptions(
            ignore_changes=["input"],
            replacement_trigger=pulumi.Config().get_int("caGeneration") or 1,
        ),
    )
    fingerprint = kept.output.apply(lambda value: hashlib.sha256(value.encode()).hexdigest())
    pulumi.export("fingerprint", pulumi.Output.unsecret(fingerprint))
    pulumi.export("key", kept.output)
"""


@pytest.fixture
def kept(project: Project) -> Project:
    project.program(PROGRAM)
    return project


def fingerprint(project: Project) -> str:
    return str(project.outputs()["fingerprint"])


def test_a_second_run_keeps_the_first_runs_key(kept: Project) -> None:
    kept.up()
    first, key = fingerprint(kept), kept.outputs(show_secrets=True)["key"]
    assert kept.up().changes == {}
    assert kept.up("--refresh").changes == {}
    assert fingerprint(kept) == first
    assert kept.outputs(show_secrets=True)["key"] == key


def test_a_preview_of_an_unchanged_stack_shows_no_change(kept: Project) -> None:
    kept.up()
    kept.preview("--expect-no-changes")


def test_raising_the_generation_makes_a_new_key_and_only_once(kept: Project) -> None:
    kept.up()
    first = fingerprint(kept)
    kept.set("caGeneration", "2")
    assert kept.up().changes == {"replace": 1}
    second = fingerprint(kept)
    assert second != first
    assert kept.up().changes == {}
    assert fingerprint(kept) == second


def test_no_key_is_shown_or_stored_in_the_clear(kept: Project) -> None:
    runs = [kept.preview(), kept.up()]
    kept.set("caGeneration", "2")
    runs += [kept.preview(), kept.up("--diff"), kept.refresh("--diff")]
    assert_absent(str(kept.outputs(show_secrets=True)["key"]), kept, runs)


def assert_absent(pem: str, project: Project, runs: list[Outcome]) -> None:
    """Neither this key, in any of its encodings, nor the mark of any other private key, is anywhere to be read."""
    assert pem.startswith("-----BEGIN PRIVATE KEY-----")
    body = pem.splitlines()[1]
    marks = (
        "PRIVATE KEY",
        body,
        base64.b64encode(pem.encode()).decode()[:40],
        base64.b64decode(body + "==").hex()[:40],
    )
    texts = {f"run {index}": run.text + json.dumps(run.events) for index, run in enumerate(runs)}
    texts["export"] = json.dumps(project.export())
    texts["outputs"] = json.dumps(project.outputs())
    backend = Path(project.environ["PULUMI_BACKEND_URL"].removeprefix("file://"))
    files = [path for path in (*project.folder.rglob("*"), *backend.rglob("*")) if path.is_file()]
    texts |= {str(path): path.read_text(errors="replace") for path in files if path.name != "__main__.py"}
    assert len(texts) > len(runs) + 4, "the state's files should be among what is searched"
    for where, text in texts.items():
        for mark in marks:
            assert mark not in text, f"key material in {where}"
