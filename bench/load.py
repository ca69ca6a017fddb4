"""Requests at a constant rate from a pod of their own in the mesh, accounted for while they are sent.

The pod sends by itself and writes down every second, in its log, what became of the requests. So nothing is lost of the
account when the API server goes away for a while: the log is read again from where it was left.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from kubernetes import client
from urllib3.exceptions import HTTPError

NAMESPACE, NAME = "callers", "load"
CONTAINER, PROXY = "caller", "istio-proxy"
IMAGE = "docker.io/tfserving-mesh/caller:sandbox"
TELEMETRY = ("telemetry.istio.io", "v1", NAMESPACE, "telemetries")
START = 90  # seconds until the pod sends, at most
END = 60  # seconds that it may take to end


class LoadError(Exception):
    """The load does not run, or its account is not whole; the message says what is known."""


@dataclass(frozen=True)
class Failure:
    """A request that was not answered, or not with a status of 200-299.

    Attributes:
        at: when it was sent, as the client has it (RFC 3339).
        ms: milliseconds until it was answered or given up.
        status: 0 without an answer.
        reason: the error's kind and text, or the answer's body.
    """

    at: str
    ms: float
    status: int
    reason: str


@dataclass
class Account:
    """What became of some requests.

    Attributes:
        requests: sent and ended.
        answers: how many were answered 200-299 with each body.
        failures: what is known of the others; at most a hundred of each second are told apart.
    """

    requests: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """How many were not answered 200-299."""
        return self.requests - self.answers.total()

    def add(self, report: Mapping[str, Any]) -> None:
        """Add what a report of the load client says, be it of a second or of a whole run.

        Answers that it has no room to list count as failed: nobody knows what they were.
        """
        self.requests += report["requests"]
        for answer in report["answers"]:
            if answer["status"] // 100 == 2:
                self.answers[answer["body"]] += answer["count"]
        for each in report["failures"]:
            reason = f"{each['kind']}: {each['detail']}" if each["kind"] else each["detail"]
            self.failures.append(Failure(each["at"], each["ms"], each["status"], reason))


class Load:
    """A pod that sends predictions from entering the context until leaving it.

    Attributes:
        heard: called with all that was sent so far, in a thread of its own, about every second.
    """

    def __init__(self, url: str, body: str, rate: float, heard: Callable[[Account], None] = lambda _: None) -> None:
        """Prepare to send.

        Args:
            url: where to.
            body: of each POST.
            rate: requests a second.
            heard: see above.
        """
        self.heard = heard
        self._arguments = ["load", f"--url={url}", f"--body={body}", f"--rate={rate}", "--connections=16"]
        self._arguments += ["--every=1s", "--duration=12h"]
        # Clients of its own: an exec elsewhere makes a client that is shared useless to other threads for a moment.
        self._core: Any = client.CoreV1Api()
        self._objects: Any = client.CustomObjectsApi()
        self._seconds: list[Mapping[str, Any]] = []
        self._sum = Account()
        self._total: Mapping[str, Any] | None = None
        self._follower = threading.Thread(target=self._follow, daemon=True)

    @property
    def requests(self) -> int:
        """How many requests have been sent and have ended."""
        return self._sum.requests

    def mark(self) -> int:
        """Return a mark of this moment, for `since`.

        Raises:
            LoadError: nothing is sent any more.
        """
        if not self._follower.is_alive():
            raise LoadError(f"the load's pod ended by itself: {self._state()}")
        return len(self._seconds)

    def since(self, mark: int, until: int | None = None) -> Account:
        """Account for the requests between two marks; without `until` for all since the first."""
        account = Account()
        for report in self._seconds[mark:until]:
            account.add(report)
        return account

    def wait(self, requests: int) -> None:
        """Wait until so many requests have been sent since the beginning.

        Raises:
            LoadError: nothing is sent any more.
        """
        while self.requests < requests:
            self.mark()
            time.sleep(0.1)

    def sent_in(self, seconds: float) -> Account:
        """Go on for some seconds and account for what was sent in them."""
        mark = self.mark()
        time.sleep(seconds)
        self.mark()
        return self.since(mark)

    def __enter__(self) -> Self:
        """Start the pod and wait until it has sent.

        Raises:
            LoadError: it did not start in time.
        """
        self._remove()
        try:
            self._objects.create_namespaced_custom_object(*TELEMETRY, _failures_logged())
            self._core.create_namespaced_pod(NAMESPACE, _pod(self._arguments))
            self._follower.start()
            self._wait_for_first()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let what is on its way end, and remove the pod.

        Raises:
            LoadError: what the pod said of each second does not add up to what it said at its end.
        """
        self._remove()
        self._follower.join(END)
        if kind is not None:
            return
        if self._total is None or self._total["requests"] != self.requests:
            said = None if self._total is None else self._total["requests"]
            raise LoadError(f"the load's account is not whole: {self.requests} requests by the second, {said} in all")

    def proxy_log(self) -> list[str]:
        """Return what the pod's proxy logged of requests that failed, with Envoy's flags: the last hundred lines."""
        log = self._core.read_namespaced_pod_log(NAME, NAMESPACE, container=PROXY)
        return [line for line in log.splitlines() if line.startswith("[")][-100:]

    def _wait_for_first(self) -> None:
        deadline = time.monotonic() + START
        while not self._seconds:
            if time.monotonic() > deadline or not self._follower.is_alive():
                raise LoadError(f"the load's pod sends nothing: {self._state()}")
            time.sleep(0.1)

    def _remove(self) -> None:
        removals: Sequence[Callable[[], object]] = (
            lambda: self._core.delete_namespaced_pod(NAME, NAMESPACE),
            lambda: self._objects.delete_namespaced_custom_object(*TELEMETRY, NAME),
        )
        for remove in removals:
            try:
                remove()
            except client.ApiException as error:
                if error.status != 404:
                    raise
        deadline = time.monotonic() + END
        while self._state() is not None:
            if time.monotonic() > deadline:
                raise LoadError(f"the load's pod does not go: {self._state()}")
            time.sleep(0.2)

    def _state(self) -> str | None:
        try:
            status = self._core.read_namespaced_pod(NAME, NAMESPACE).status
        except client.ApiException as error:
            if error.status != 404:
                raise
            return None
        states = [each.state for each in [*(status.init_container_statuses or []), *(status.container_statuses or [])]]
        waiting = [state.waiting.reason for state in states if state and state.waiting]
        return f"{status.phase} {', '.join(waiting)}".strip()

    def _follow(self) -> None:
        read, rest = 0, ""
        while self._total is None:
            number = 0
            try:
                for number, line in enumerate(self._lines(), start=1):
                    if number <= read:
                        continue
                    read = number
                    if line.startswith('{"'):
                        self._hear(json.loads(line))
                        continue
                    rest += line
                    if line == "}":
                        self._total = json.loads(rest)
                        return
            except (client.ApiException, HTTPError, OSError):
                pass  # the server is away, or the container has not started; what it writes meanwhile is kept
            try:
                if self._state() is None:
                    return
            except (client.ApiException, HTTPError, OSError):
                pass
            time.sleep(0.3)

    def _hear(self, report: Mapping[str, Any]) -> None:
        self._sum.add(report)
        self._seconds.append(report)
        self.heard(self._sum)

    def _lines(self) -> Iterator[str]:
        """Yield the whole lines of the container's log from its beginning on, as they are written."""
        response = self._core.read_namespaced_pod_log(
            NAME, NAMESPACE, container=CONTAINER, follow=True, _preload_content=False, _request_timeout=(5, 10)
        )
        if response.status != 200:
            return
        begun = b""
        for chunk in response.stream():
            *lines, begun = (begun + chunk).split(b"\n")
            for line in lines:
                yield line.decode()


def _pod(arguments: list[str]) -> dict[str, Any]:
    return {
        "metadata": {"name": NAME, "labels": {"app": NAME, "sidecar.istio.io/inject": "true"}},
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 15,  # for what is on its way
            "containers": [
                {"name": CONTAINER, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "args": arguments},
            ],
        },
    }


def _failures_logged() -> dict[str, Any]:
    """Return the Telemetry by which the pod's proxy logs what it did not answer well; it logs nothing otherwise."""
    return {
        "apiVersion": "telemetry.istio.io/v1",
        "kind": "Telemetry",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": NAME}},
            "accessLogging": [{"providers": [{"name": "envoy"}], "filter": {"expression": "response.code >= 400"}}],
        },
    }
