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


@contextmanager
def run_postgres(folder: Path | None = None) -> Iterator[str]:
    """A PostgreSQL cluster of its own; gives the URL of its database.

    folder  keeps the cluster for another run; None: it is gone afterwards
    """
    binaries, port = _binaries(), free_port()
    with ExitStack() as stack:
        name = str(folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-pg-")))
        if not (Path(name) / "PG_VERSION").exists():
            _make_cluster(binaries, name)
        options = ["-D", name, "-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
        process = subprocess.Popen(
            [*_as_postgres(), *DIE_WITH_PARENT, str(binaries / "postgres"), *options],
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        try:
            ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_until(lambda: subprocess.run(ready).returncode == 0, 30, "PostgreSQL")
            yield f"postgresql://gateway@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def _make_cluster(binaries: Path, name: str) -> None:
    Path(name).mkdir(exist_ok=True)
    if os.geteuid() == 0:
        shutil.chown(name, "postgres", "postgres")
    initdb = [str(binaries / "initdb"), "-D", name, "-U", "gateway", "-A", "trust", "-N"]
    subprocess.run([*_as_postgres(), *initdb], check=True, capture_output=True, cwd="/")
