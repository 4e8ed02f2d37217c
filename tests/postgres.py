"""A real PostgreSQL for tests: a cluster of its own on a free port, stopped by its process id."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gateway.demo.servers import DIE_WITH_PARENT, free_port
from tests.waiting import wait_until


def _as_postgres() -> list[str]:
    """PostgreSQL refuses to run as root: Debian's package brings a user for it."""
    to_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    return to_user if os.geteuid() == 0 else []


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "install Debian's package postgresql"
    return found[-1].parent


class Postgres:
    """A PostgreSQL cluster in that folder, on a free port; one that is there already is kept."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._binaries, self._port = _binaries(), free_port()
        if not (Path(folder) / "PG_VERSION").exists():
            Path(folder).mkdir(exist_ok=True)
            if os.geteuid() == 0:
                shutil.chown(folder, "postgres", "postgres")
            self._run("initdb", "-D", folder, "-U", "gateway", "-A", "trust", "-N")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://gateway@127.0.0.1:{self._port}/postgres"

    def _run(self, program: str, *options: str) -> None:
        command = [*_as_postgres(), str(self._binaries / program), *options]
        subprocess.run(command, check=True, capture_output=True, cwd="/")

    def start(self) -> None:
        address = ["-h", "127.0.0.1", "-p", str(self._port)]
        program = str(self._binaries / "postgres")
        options = ["-D", self._folder, *address, "-k", "", "-F"]
        self._process = subprocess.Popen(
            [*_as_postgres(), *DIE_WITH_PARENT, program, *options],
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        ready = [str(self._binaries / "pg_isready"), "-q", *address]
        wait_until(lambda: subprocess.run(ready).returncode == 0, 60, "PostgreSQL")

    def stop(self) -> None:
        """Its clients are cut off, as in a restart of the service."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)


@contextmanager
def postgres_server(folder: Path | None = None) -> Iterator[Postgres]:
    """A PostgreSQL cluster of its own.

    folder  keeps the cluster for another run; None: it is gone afterwards
    """
    with ExitStack() as stack:
        if folder is None:
            new = tempfile.TemporaryDirectory(prefix="gateway-pg-")
            folder = Path(stack.enter_context(new))
        server = Postgres(str(folder))
        stack.callback(server.stop)
        yield server


@contextmanager
def run_postgres(folder: Path | None = None) -> Iterator[str]:
    """The same; gives the URL of its database."""
    with postgres_server(folder) as server:
        yield server.url
