"""Who answers, seen from wherever this runs; a program of its own, of the standard library.

Usage: knock.py TRIES, a JSON list of [KIND, ADDRESS, PORT]; it prints a JSON list of true and false. KIND is tcp (a
request by HTTP, answered by any byte but those of a proxy that gets nowhere), tls:NAME (a handshake for a host), udp,
or dns (a question by TCP).
"""

import json
import socket
import ssl
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

PATIENCE = 3.0  # seconds
NO_WAY = b"HTTP/1.1 50"  # 502, 503, 504
NAME = "kubernetes.default.svc.cluster.local"
QUESTION = (
    struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, 0)
    + b"".join(bytes([len(label)]) + label.encode() for label in NAME.split("."))
    + struct.pack("!B2H", 0, 1, 1)
)


def answers(kind: str, address: str, port: int) -> bool:
    """Whether anybody does."""
    try:
        if kind == "udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
                asked.settimeout(PATIENCE)
                asked.connect((address, port))
                asked.send(QUESTION)
                return bool(asked.recv(512))
        with socket.create_connection((address, port), timeout=PATIENCE) as link:
            kind, _, host = kind.partition(":")
            if kind == "tls":
                context = ssl._create_unverified_context()  # noqa: S323 # who it is does not matter here
                with context.wrap_socket(link, server_hostname=host):
                    return True
            link.sendall(
                struct.pack("!H", len(QUESTION)) + QUESTION if kind == "dns" else b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
            )
            answer = link.recv(512)
            return bool(answer) and not answer.startswith(NO_WAY)
    except OSError:
        return False


def main() -> None:
    """Try all at once."""
    tries = json.loads(sys.argv[1])
    with ThreadPoolExecutor(len(tries)) as pool:
        print(json.dumps(list(pool.map(lambda each: answers(*each), tries))))


if __name__ == "__main__":
    main()
