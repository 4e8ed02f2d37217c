"""Runs work that only computes without holding up the other requests of this process.

Under gevent all requests share one thread: decoding a large image there would stop them all. numpy,
Pillow and the decoders release the interpreter, so a real thread helps.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from gevent import get_hub, monkey

AT_ONCE = 2  # what is being decoded is in memory: this bounds it for a process

_slots = threading.BoundedSemaphore(AT_ONCE)
Result = TypeVar("Result")


def compute(work: Callable[[], Result]) -> Result:
    """The result of `work`, or what it raises; at most AT_ONCE at a time."""
    with _slots:
        if not monkey.is_module_patched("threading"):
            return work()
        result: Result = get_hub().threadpool.apply(work)
        return result
