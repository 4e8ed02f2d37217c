"""Addresses behind a site's name: a resolver that hangs or fails holds nobody up (trust.md F14).

One lookup of a name runs at a time, on a thread that is left behind when it hangs. Nobody waits for
it longer than RESOLVE_S, and for LAST_GOOD_S the last good answer stands in for a missing one. What
a name may lead to is judged where the connection is made (connection.py).
"""

import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.clock import monotonic_s
from gateway.log import log

RESOLVE_S = 2.0
RESOLVE_AGAIN_S = 0.5  # of a name whose last answer is still good
FRESH_S = 30.0  # so long a name is not looked up again
LAST_GOOD_S = 600.0
NEVER = float("-inf")

Address = tuple[socket.AddressFamily, Any]


def look_up(host: str, port: int) -> list[Address]:
    """Ask the system's resolver, however long it takes; raises OSError, UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


@dataclass
class _Name:
    """What is known of one name; times are monotonic seconds.

    ended    set when the lookup that began last has ended
    failing  the last that is known of it is a lookup that failed, or that was not waited for
    """

    ended: threading.Event
    began_at: float = NEVER
    found: Sequence[Address] = ()
    found_at: float = NEVER
    error: Exception | None = None
    failing: bool = False


class Addresses:
    """Keeps the names of one process; safe for threads and greenlets."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, int], _Name] = {}
        self._lock = threading.Lock()

    def find(self, host: str, port: int, patience_s: float) -> Sequence[Address]:
        """Addresses to try in this order.

        raises  TimeoutError after RESOLVE_S or patience_s; OSError if the name has no address
        """
        family = _family_of(host)
        if family is not None:
            return [(family, (host, port))]
        now = monotonic_s()
        name = self._asked(host, port, now)
        if now - name.found_at < FRESH_S:
            return name.found
        last_is_good = now - name.found_at < LAST_GOOD_S
        if not (name.failing and last_is_good):
            limit_s = RESOLVE_AGAIN_S if last_is_good else RESOLVE_S
            wait_s = min(name.began_at + limit_s - now, patience_s)
            if not name.ended.wait(max(wait_s, 0.0)):
                self._fails(host, name)
        if name.found_at >= now or last_is_good:
            return name.found
        if name.ended.is_set() and name.error is not None:
            raise OSError("its name is not known") from name.error
        raise TimeoutError("its name is not resolved")

    def is_failing(self, host: str) -> bool:
        """Whether the name could not be looked up when it was last tried."""
        return any(name.failing for (known, _), name in list(self._names.items()) if known == host)

    def _asked(self, host: str, port: int, now: float) -> _Name:
        """What is known of the name; if that is not fresh, a lookup is on its way."""
        with self._lock:
            name = self._names.get((host, port))
            if name is None:
                name = self._names[host, port] = _Name(threading.Event())
                name.ended.set()
            if now - name.found_at < FRESH_S or not name.ended.is_set():
                return name
            name.ended, name.began_at = threading.Event(), now
            work = threading.Thread(target=self._look_up, args=(host, port, name), daemon=True)
        work.start()
        return name

    def _look_up(self, host: str, port: int, name: _Name) -> None:
        try:
            name.found, name.error = look_up(host, port), None
            name.found_at = monotonic_s()
            if name.failing:
                name.failing = False
                log.info("name resolved again", host=host)
        except (OSError, UnicodeError) as error:
            name.error = error
            self._fails(host, name)
        finally:
            name.ended.set()

    def _fails(self, host: str, name: _Name) -> None:
        if not name.failing:
            name.failing = True
            log.error("name not resolved", host=host)


def _family_of(host: str) -> socket.AddressFamily | None:
    """Of a host that is an address already; None for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return family
    return None
