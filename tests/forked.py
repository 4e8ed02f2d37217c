"""The gateway's processes, forked from one that has imported everything: nine tenths of a start.

For tests that start hundreds of them. A process dies with the test that started it.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from tempfile import TemporaryDirectory
from typing import Any

from gateway.cli import main as gateway
from gateway.demo.servers import Program

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["__main__", "gateway.cli"])
PR_SET_PDEATHSIG = 1


class ForkedGateway:
    """A process of its own that is nothing but `gateway WORDS`."""

    def __init__(self, words: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        self._log = log
        everything = {**os.environ, **environ}
        self._process = FORKS.Process(
            target=_run, args=(words, log, log, everything, Path.cwd()), daemon=True
        )
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


class ForkedProgram(Program):
    """A Program, started the short way where its command is `python -m gateway.cli WORDS`."""

    def launch(self) -> None:
        python, option, module, *words = self.command
        if (python, option, module) != (sys.executable, "-m", "gateway.cli"):
            super().launch()
            return
        self._asked_to_stop = False
        folder = self.folder or Path.cwd()
        for place in (self.log_file.parent, folder):
            place.mkdir(parents=True, exist_ok=True)
        environ = {**os.environ, **self.environ}
        log = self.log_file.absolute()
        process = FORKS.Process(target=_run, args=(words, log, log, environ, folder), daemon=True)
        process.start()
        self._process = _Started(process)


class _Started:
    """What Program asks of a process that runs."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self.pid = int(process.pid)

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        self._process.join(seconds)
        if self.poll() is None:
            raise TimeoutExpired(f"process {self.pid}", seconds or 0)
        return self.poll()

    def send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


def run_gateway(
    words: Sequence[str], folder: Path, environ: Mapping[str, str], seconds: float
) -> CompletedProcess[str]:
    """Do `gateway WORDS` in that folder, with these variables and no others; and wait for its end.

    seconds  after which it is killed, and the test fails
    """
    with TemporaryDirectory() as name:
        out, err = (Path(name) / kind for kind in ("out", "err"))
        process = FORKS.Process(target=_run, args=(words, out, err, environ, folder))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise AssertionError(f"gateway {' '.join(words)}: no end in {seconds} s")
        texts = [file.read_text(encoding="utf-8") for file in (out, err)]
        return CompletedProcess([*words], process.exitcode, *texts)


def _children_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/task/{pid}/children")


def _run(
    words: Sequence[str], out: Path, err: Path, environ: Mapping[str, str], folder: Path
) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    for number, file in ((1, out), (2, err)):
        with file.open("ab") as opened:
            os.dup2(opened.fileno(), number)
    gateway(list(words), prog_name="gateway")
