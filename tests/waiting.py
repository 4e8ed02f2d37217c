"""Waiting for other processes in tests of real servers: polls, with a deadline."""

import time
from collections.abc import Callable


def wait_until(done: Callable[[], object], seconds: float, what: str) -> None:
    """Poll `done` until it is true; fail the test after `seconds`, naming `what`."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.05)
