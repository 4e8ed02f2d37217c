"""Starts real servers for tests, each on a free port in a folder of its own, and stops it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 30.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_until(done: Callable[[], object], seconds: float = START_S, what: str = "it") -> None:
    """Poll `done` until it is true; fail the test after `seconds`."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(0.2)
        return sock.connect_ex(("127.0.0.1", port)) == 0


def stop(process: subprocess.Popen[bytes], with_signal: int = signal.SIGTERM) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(with_signal)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _as_postgres() -> list[str]:
    """PostgreSQL refuses to run as root: Debian's package brings a user for it."""
    return (
        []
        if os.geteuid()
        else ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    )


def postgres_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def run_postgres() -> Iterator[str]:
    """A PostgreSQL cluster of its own; gives the URL of its database."""
    binaries, port = postgres_bin(), free_port()
    assert binaries is not None
    with tempfile.TemporaryDirectory(prefix="gateway-pg-") as name:
        if os.geteuid() == 0:
            shutil.chown(name, "postgres", "postgres")
        initdb = [str(binaries / "initdb"), "-D", name, "-U", "gateway", "-A", "trust", "-N"]
        subprocess.run([*_as_postgres(), *initdb], check=True, capture_output=True, cwd="/")
        options = ["-D", name, "-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
        process = subprocess.Popen(
            [*_as_postgres(), str(binaries / "postgres"), *options],
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        try:
            ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_until(lambda: subprocess.run(ready).returncode == 0, what="PostgreSQL")
            yield f"postgresql://gateway@127.0.0.1:{port}/postgres"
        finally:
            stop(process, signal.SIGINT)


@contextmanager
def run_redis(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Redis as the gateway wants it; gives its URL and process."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", "", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port), what="Redis")
        yield f"redis://127.0.0.1:{port}/0", process
    finally:
        stop(process)


@contextmanager
def run_orthanc(
    folder: Path,
    *,
    program: str = "Orthanc",
    plugins: tuple[str, ...] = ("libOrthancDicomWeb.so",),
    environ: dict[str, str] | None = None,
    **config: object,
) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    """A real Orthanc with users gate:secret; gives its URL, process and log file."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = {
        "Name": folder.name,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"gate": "secret"},
        "DicomServerEnabled": False,
        "StableAge": 1,
        "Plugins": [f"/usr/share/orthanc/plugins/{name}" for name in plugins],
        **config,
    }
    path, log = folder / "orthanc.json", folder / "orthanc.log"
    path.write_text(json.dumps(settings))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, str(path)],
            stdout=output,
            stderr=output,
            env={**os.environ, **(environ or {})},
        )
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, what="Orthanc")
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}", process, log
    finally:
        stop(process)


def has(program: str) -> bool:
    return shutil.which(program) is not None
