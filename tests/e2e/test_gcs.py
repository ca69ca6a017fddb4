"""Models in a bucket, served by the program, with Cloud Storage and the metadata server played on the sandbox."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox.node_config import HOST_ADDRESS
from tests.e2e.conftest import MODEL, NAMESPACE, ROOT, Cluster, Stack, models, settle
from tests.e2e.google import Google, played

pytestmark = pytest.mark.e2e

BUCKET = "models-of-a-test"
PATH = f"gs://{BUCKET}/half_plus"
# What fails at once needs little time; four tries at the storage, after which the reason is logged, 10 s, and eleven at
# the metadata server 15 s.
SOON, LATER = {"loadTimeoutSeconds": 10}, {"loadTimeoutSeconds": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("google")
    shutil.copytree(ROOT / "sandbox" / "images" / "models" / "half_plus", made / "buckets" / BUCKET / "half_plus")
    return made


@pytest.fixture(scope="module")
def running(cluster: Cluster, folder: Path) -> Iterator[Google]:
    with played(cluster, folder) as google:
        yield google


@pytest.fixture
def google(running: Google) -> Iterator[Google]:
    """Google as it is to begin with; what a test allows or forbids ends with it."""
    yield running
    running.allow()


@pytest.fixture
def stack(google: Google, stack: Stack) -> Stack:
    """The stack; what the test did to it is put back while Google is still there, and as it was."""
    assert google.running
    stack.set(egress={"addresses": [{"cidr": f"{HOST_ADDRESS}/32", "reason": "the host plays Cloud Storage"}]})
    return stack


def in_bucket(versions: Sequence[str], **changes: dict[str, Any]) -> dict[str, Any]:
    found = models(versions, **changes)
    found[MODEL]["path"] = PATH
    return found


def identity(google: Google) -> str:
    return f"{google.pool}[{NAMESPACE}/{MODEL}]"


def test_a_model_in_a_bucket_is_served(google: Google, stack: Stack, cluster: Cluster) -> None:
    google.allow(readers={BUCKET: [identity(google)]})
    stack.set(models=in_bucket(["v1", "v2"]), v2Weight=50)
    stack.up()
    settle(cluster, {"v1": 50, "v2": 50})
    counts = cluster.count(200)
    assert min(counts["v1"], counts["v2"]) > 50, counts
    assert google.objects_read() == {identity(google): {f"{PATH}/1/model.json", f"{PATH}/2/model.json"}}
    assert set(google.tokens()) == {identity(google)}
    assert set(stack.up("--refresh").changes) == {"unchanged"}


def test_a_bucket_that_the_model_may_not_read_fails_up_with_the_reason(google: Google, stack: Stack) -> None:
    google.allow(readers={BUCKET: []})
    stack.set(models=in_bucket(["v1"], v1=SOON), v2Weight=None)
    failed = stack.up(check=False)
    assert failed.code != 0
    assert f"{identity(google)} does not have storage.objects.get access" in failed.text, failed.text
    assert PATH in failed.text


def test_a_path_that_is_not_in_the_bucket_fails_up_with_the_reason(stack: Stack) -> None:
    wrong = in_bucket(["v1"], v1=SOON)
    wrong[MODEL]["path"] = f"{PATH}-misspelt"
    stack.set(models=wrong, v2Weight=None)
    failed = stack.up(check=False)
    assert failed.code != 0
    assert f"The specified path {PATH}-misspelt was not found." in failed.text, failed.text


def test_a_bucket_that_cannot_be_reached_fails_up_with_the_reason(google: Google, stack: Stack) -> None:
    google.stop("storage")
    try:
        stack.set(models=in_bucket(["v1"], v1=LATER), v2Weight=None)
        failed = stack.up(check=False)
    finally:
        google.start_storage()
    assert failed.code != 0
    assert "All 3 retry attempts failed. The last failure:" in failed.text, failed.text
    assert PATH in failed.text


def test_without_the_egress_rule_no_model_is_loaded_and_up_says_why(google: Google, stack: Stack) -> None:
    # The rule goes first: in one step with the model it would go last, when the model is loaded. That the storage's
    # address may be reached does not help: its name is refused, and so is the metadata server.
    stack.set(egress={**stack.get("egress"), "gcs": False})
    stack.up()
    before = len(google.requests()), len(google.tokens())
    stack.set(models=in_bucket(["v1"], v1=LATER), v2Weight=None)
    failed = stack.up(check=False)
    assert failed.code != 0
    assert "All attempts to get a Google authentication bearer token failed" in failed.text, failed.text
    assert (len(google.requests()), len(google.tokens())) == before
