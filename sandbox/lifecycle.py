"""`build`, `up` and `down`: what runs stays, what is half there is cleared, and nothing of ours is left behind."""

from __future__ import annotations

import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from rich.console import Console

from sandbox import external, images, machine, materials, network, node, plan
from sandbox.errors import SandboxError
from sandbox.paths import CHECKOUT, state_root
from sandbox.progress import Step, run_steps
from sandbox.state import Health, State, load_state, new_state, refuse_foreign


def build(context: str | None, console: Console) -> None:
    """Build what is missing for a node of our own, or for the user's cluster that `context` names.

    Raises:
        SandboxError: the first step that fails, with its remedy; the next run goes on with that step.
    """
    run_steps(plan.build_steps(context), console)
    _place(context)


def _place(context: str | None) -> None:
    plan.link_tools(context)
    materials.place_charts(CHECKOUT)


def up(context: str | None, console: Console) -> State:
    """Bring the sandbox up, from whatever state the machine is in; does nothing when it already runs.

    Raises:
        SandboxError: another checkout's sandbox runs, or a step failed; the next run goes on from there.
    """
    state = _present(context, console)
    if context is not None:
        external.minified(context, external.kubeconfig_files())  # a typo is told before a long build, not after it
        build(context, console)
        return external.use(context, console)
    if state is None:
        return _boot(console)
    build(context, console)
    return _refresh(state, console)


def _present(context: str | None, console: Console) -> State | None:
    """The sandbox that runs, after clearing one that does not run any more or only got half-way."""
    state = load_state()
    if state is None:
        if leftovers():
            clear(None)
        return None
    refuse_foreign(state)
    if state.health is not Health.RUNNING:
        console.print(f"Clearing what is left of a sandbox that was {_WHY[state.health]}.")
        clear(state)
        return None
    if state.context != context:
        raise SandboxError(
            f"the sandbox that runs is {_kind(state.context)}, not {_kind(context)}: "
            "end it first with `python -m sandbox down`"
        )
    return state


_WHY = {Health.GONE: "ended from outside", Health.INTERRUPTED: "interrupted while it started"}


def _kind(context: str | None) -> str:
    return "a node of its own" if context is None else f"your cluster {context}"


class _Boot:
    """The steps from nothing to a Ready node, each knowing what the ones before it made."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.state = new_state(None)
        self._pool = pool
        self._others: Future[list[str]] | None = None

    def steps(self) -> list[Step]:
        return [
            Step("start the node", self._start),
            Step("start Kubernetes", self._initialise),
            Step("wait for the node and its DNS", lambda: node.wait_ready(self.state)),
            Step("import the images of Istio and the models", self._finish),
        ]

    def _start(self) -> None:
        self.state = node.start(self.state.save())

    def _initialise(self) -> None:
        _place(None)
        node.import_images(self.state, (*images.CONTROL_PLANE, images.COREDNS))
        # kubeadm mostly waits, the import mostly writes: side by side they take little longer than one of them.
        self._others = self._pool.submit(
            node.import_images, self.state, (*images.ISTIO, *images.WORKLOADS, *images.MONITORING)
        )
        node.initialise(self.state)

    def _finish(self) -> None:
        if self._others is not None:
            self._others.result()
        self.state = self.state.ready()


def _boot(console: Console) -> State:
    machine.require_root()  # before the build, which may take half an hour
    network.require_free_addresses(state_root())
    with ThreadPoolExecutor(max_workers=1) as pool:
        boot = _Boot(pool)
        run_steps([*plan.build_steps(None), *boot.steps()], console)
    return boot.state


def _refresh(state: State, console: Console) -> State:
    """See that a sandbox that is said to run answers, and give it the images that were built anew since."""
    try:
        node.kubectl(state, "get", "--raw=/readyz", "--request-timeout=30s")
    except SandboxError as error:
        raise SandboxError(
            f"the sandbox's node runs, but Kubernetes does not answer ({error}): see {node.logs(state)}, "
            "then `python -m sandbox down` and `up` again"
        ) from error
    if renewed := node.import_images(state, plan.image_list(None)):
        run_steps([Step("restart what runs from a former image", partial(node.restart_pods, state, renewed))], console)
    console.print("The sandbox is running.")
    return state


def leftovers() -> bool:
    """True when there is something to clear although no sandbox is on record."""
    return state_root().exists() or network.owned_by(state_root())


def down(console: Console, *, leave_cluster: bool = False) -> None:
    """Remove the sandbox, or what is left of one; the cache stays.

    Args:
        console: gets the progress.
        leave_cluster: forget a user's own cluster without touching it.

    Raises:
        SandboxError: it belongs to another checkout that is still there, or something cannot be removed.
    """
    state = _load_even_damaged()
    if state is None and not leftovers():
        materials.remove_charts(CHECKOUT)
        console.print("No sandbox is running: there is nothing to remove.")
        return
    if state is not None and state.checkout.exists():
        refuse_foreign(state)
    if state is not None and state.context is not None and not leave_cluster:
        external.leave(state)
    run_steps([Step("remove the sandbox", partial(clear, state))], console)


def _load_even_damaged() -> State | None:
    try:
        return load_state()
    except SandboxError:
        return None  # `down` is the very remedy for a damaged record


def clear(state: State | None) -> None:
    """Remove processes, interface, control groups and folders of a sandbox, however much of it there is."""
    root = state_root()
    if (root / node.MADE).exists() or network.owned_by(root):
        machine.require_root()
        node.remove(root)
    materials.remove_charts(CHECKOUT if state is None else state.checkout)
    if root.exists():  # somebody may have removed it from under a node that runs
        shutil.rmtree(root)
    if root.parent.exists() and not any(root.parent.iterdir()):
        root.parent.rmdir()
