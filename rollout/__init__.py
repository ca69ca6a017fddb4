"""The operator's side: what a rollout looks like from the proxies that carry it."""

import time

STARTED = time.monotonic()
"""When the command began, as far as Python can tell; what it prints of its own speed is counted from here."""
