"""A thread of the keeper that leads: it does the same again and again until it is ended, and no
fault of one round is the end of it.
"""

import threading
from abc import ABC, abstractmethod

from gateway.errors import GatewayError, LeaseLost
from gateway.log import log


class Rounds(threading.Thread, ABC):
    """From its start to its end one keeper's.

    every_s  between the end of one round and the next
    problem  what is not done when a round fails, for the log
    first_s  before the first round; None: every_s
    """

    def __init__(
        self, name: str, every_s: float, problem: str, first_s: float | None = None
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._every_s, self._problem = every_s, problem
        self._first_s = every_s if first_s is None else first_s
        self._ended = threading.Event()

    def end(self) -> None:
        """No other round begins; one that runs may look at `_ended` itself."""
        self._ended.set()

    def run(self) -> None:
        wait_s = self._first_s
        while not self._ended.wait(wait_s):
            wait_s = self._every_s
            try:
                self.round()
            except LeaseLost:
                return
            except (GatewayError, OSError) as error:
                log.error(self._problem, problem=str(error))
            except Exception as error:  # noqa: BLE001 - the thread's door: it is tried again
                log.error(self._problem, problem=type(error).__name__)

    @abstractmethod
    def round(self) -> None:
        """One round. Raises LeaseLost if it was ended meanwhile."""
