"""Which TCP ports of an address take a connection, from wherever this runs; of the standard library alone.

Usage: scan.py ADDRESS; it prints a JSON list.
"""

import errno
import json
import resource
import select
import socket
import sys
import time
from collections.abc import Iterator

AT_ONCE = 16384  # connections in the making
PATIENCE = 2.0  # seconds for one to be made; whatever says no says so at once, or not at all


def taken(address: str, ports: range) -> Iterator[int]:
    """Yield those that take a connection, in the order they do."""
    poll = select.epoll()
    making: dict[int, tuple[int, socket.socket]] = {}
    for port in ports:
        link = socket.socket()
        link.settimeout(0)
        if link.connect_ex((address, port)) in (0, errno.EINPROGRESS):
            making[link.fileno()] = port, link
            poll.register(link, select.EPOLLOUT)
        else:
            link.close()
    deadline = time.monotonic() + PATIENCE
    while making and (left := deadline - time.monotonic()) > 0:
        for number, _ in poll.poll(left):
            port, link = making.pop(number)
            if link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                yield port
            link.close()  # the poll forgets it
    for _, link in making.values():
        link.close()
    poll.close()


def main() -> None:
    """Scan all ports."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    batches = [range(first, min(first + AT_ONCE, 65536)) for first in range(1, 65536, AT_ONCE)]
    print(json.dumps(sorted(port for batch in batches for port in taken(sys.argv[1], batch))))


if __name__ == "__main__":
    main()
