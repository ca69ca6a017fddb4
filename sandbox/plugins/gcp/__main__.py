"""Starts the plugin: prints the port that the engine connects to, and ends with the engine."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2_grpc

from sandbox.plugins.gcp.provider import Provider

_PATIENCE_SECONDS = 1.0
"""For what is under way when the plugin is to end. The engine gives all plugins of a run five seconds, one after the
other, and takes one that it could not ask in time for crashed; no operation of this one takes long."""


def _until_the_engine_is_gone(gone: threading.Event) -> None:
    """Wait for the end of the pipe that the engine holds to this process's input: it closes however the engine ends."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    gone.set()


def main() -> None:
    """Serve until the engine wants an end, or is no more."""
    server = grpc.server(
        ThreadPoolExecutor(max_workers=16),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    over = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: over.set())
    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        threading.Thread(target=_until_the_engine_is_gone, args=[over], daemon=True).start()
    print(port, flush=True)
    over.wait()
    server.stop(_PATIENCE_SECONDS).wait(_PATIENCE_SECONDS)
    os._exit(0)  # at once: what is left of grpc's threads would take most of a second to end


if __name__ == "__main__":
    main()
