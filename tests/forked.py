"""The gateway's processes, forked from one that has imported everything: nine tenths of a start.

For tests that kill hundreds of them. A process dies with the test that started it.
"""

import ctypes
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from gateway.cli import main as gateway

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["__main__", "gateway.cli"])
PR_SET_PDEATHSIG = 1


class ForkedGateway:
    """A process of its own that is nothing but `gateway WORDS`."""

    def __init__(self, words: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        self._log = log
        self._process = FORKS.Process(target=_run, args=(words, log, environ), daemon=True)
        self._process.start()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    @property
    def children(self) -> list[int]:
        """Process ids of what it has forked: the job that a worker is at."""
        try:
            return [int(pid) for pid in _children_of(self.pid).read_text().split()]
        except OSError:
            return []

    def kill(self) -> None:
        """End it as a power failure would, and wait for the process to be gone."""
        self._process.kill()
        self._process.join()

    def pause(self) -> None:
        """Freeze it with its children."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it and its children go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        # The parent first: what is stopped forks no more.
        for pid in [self.pid] if self.alive else []:
            os.kill(pid, number)
        for pid in self.children:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def says(self, words: str) -> bool:
        """Whether its log has these words."""
        return self._log.exists() and words in self._log.read_text(encoding="utf-8")

    @property
    def last_words(self) -> str:
        """The last line of its log."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return f"{self._log.stem}: {lines[-1] if lines else ''}"


def _children_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/task/{pid}/children")


def _run(words: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.update(environ)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    gateway(list(words))
