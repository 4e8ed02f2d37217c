"""Real servers as child processes: Orthanc (of Debian 12 or 13) and Redis, and any other program.

Used by the demo region and by the tests. A child writes its own log file, dies with the process
that started it (even when that one is killed), and is only ever stopped by its process id.
"""

import base64
import fcntl
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any, Self

import redis

from gateway.clock import Deadline
from gateway.errors import DemoError

REPOSITORY = Path(__file__).parents[2]
CONFIG_DIR = REPOSITORY / "orthanc-config"
PLUGIN_SCRIPT = REPOSITORY / "plugins" / "gateway_bell.py"
GENERATIONS = ("1.10.1", "1.12.7")
# Debian 13's Orthanc dies when GDCM decodes JPEG 2000: its web threads have 100 KB of stack, GDCM
# wants more (measured: segmentation fault in libgdcmMSFF). Without the plugin it says 406 instead.
PLUGINS = {
    "1.10.1": ("OrthancDicomWeb", "OrthancGdcm", "OrthancPython"),
    "1.12.7": ("OrthancDicomWeb", "OrthancPython"),
}
POLL_S = 0.05
START_S = 60.0
STOP_S = 30.0
LOG_TAIL_LINES = 15
# The kernel kills the child when the thread that started it ends: start from a thread that stays.
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")


PORTS = range(20_000, 32_768)
"""Below those that the kernel gives to connections that go out: while a server is down between two
lives, no client takes its port."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that no other process is given by this
    function while this one lives: who draws a port mostly listens on it much later.
    """
    for _ in PORTS:
        port = next(_drawn())
        with socket.socket() as probe:
            try:
                fcntl.lockf(_ledger(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise DemoError(f"no free port from {PORTS[0]} to {PORTS[-1]}")


@cache
def _drawn() -> Iterator[int]:
    """Each port once, from anywhere on; then all of them again."""
    first = random.randrange(len(PORTS))  # noqa: S311 - only keeps two processes apart
    return cycle([*PORTS[first:], *PORTS[:first]])


@cache
def _ledger() -> int:
    """Descriptor of a file of which each process locks the bytes whose numbers are its ports; the
    kernel frees them with the process.
    """
    file = Path(tempfile.gettempdir()) / f"gateway-ports-{os.getuid()}"
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


class Program:
    """One child process and its log file; it may be started again after its end.

    ready  asks the running program whether it serves; never raises
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log_file: Path,
        *,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        ready: Callable[[], bool] | None = None,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log_file = log_file
        self.environ = dict(environ or {})
        self.folder = folder
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        self._asked_to_stop = False

    def launch(self) -> None:
        """Start the process without waiting for its readiness; its log is appended to."""
        self._asked_to_stop = False
        for folder in (self.log_file.parent, self.folder):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    [*DIE_WITH_PARENT, *self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self.environ},
                    cwd=self.folder,
                    # Ctrl-C reaches the whole group of a terminal; the order of stopping is ours.
                    start_new_session=True,
                )
            except OSError as error:
                raise DemoError(f"{self.name}: cannot be started: {error}") from error

    def start(self, deadline_s: float = START_S) -> Self:
        """Start and wait until it answers. Raises DemoError with the end of its log."""
        self.launch()
        self.wait_ready(deadline_s)
        return self

    def wait_ready(self, deadline_s: float = START_S) -> None:
        """Wait until it answers; it is stopped again if it does not.

        raises  DemoError with the end of its log: it died, or it was not ready in time
        """
        deadline = Deadline(deadline_s)
        while not self.is_ready():
            if not self.alive:
                raise DemoError(f"{self.name}: died while starting\n{self.log_tail()}")
            if deadline.passed:
                self.kill()
                raise DemoError(f"{self.name}: not ready in {deadline_s:.0f} s\n{self.log_tail()}")
            time.sleep(POLL_S)

    def is_ready(self) -> bool:
        """Whether it serves; without a `ready` test it does as soon as it lives."""
        return self.alive and (self._ready is None or self._ready())

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def exit_code(self) -> int | None:
        """None while it lives or before it was started; negative: ended by that signal."""
        return self._process.poll() if self._process else None

    def ask_to_stop(self) -> None:
        """Send SIGTERM, once (a worker takes a second one as "drop your job"), and return."""
        if not self._asked_to_stop:
            self._asked_to_stop = True
            self._signal(signal.SIGTERM)

    def stop(self, deadline_s: float = STOP_S) -> None:
        """Ask it to end and wait until it has: a second Orthanc on the same files would break."""
        if self._process is None:
            return
        self.ask_to_stop()
        self.resume()
        try:
            self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a power failure would, and wait for the process to be gone."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def pause(self) -> None:
        """Freeze it: connections are accepted by the kernel, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen one go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.alive and self._process is not None:
            self._process.send_signal(number)

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines that it wrote."""
        try:
            text = self.log_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self if self.alive else self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()


class OrthancServer(Program):
    """One site's Orthanc with its DICOMweb, GDCM and Python plugins, on loopback.

    generation  "1.10.1" (installed by Debian 12) or "1.12.7" (a folder made by .ci/orthanc-next)
    settings    values that win over common.json and SITE.json
    """

    def __init__(
        self,
        folder: Path,
        site_id: str,
        http_port: int,
        dicom_port: int,
        *,
        username: str,
        password: str,
        generation: str = GENERATIONS[0],
        config_dir: Path = CONFIG_DIR,
        settings: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        log_file: Path | None = None,
    ) -> None:
        self.site_id = site_id
        self.http_port = http_port
        self.dicom_port = dicom_port
        self.username = username
        self.password = password
        self.generation = generation
        self.config_dir = config_dir
        self.storage = folder.absolute()
        self.settings = dict(settings or {})
        command, needed = orthanc_command(generation)
        super().__init__(
            site_id,
            [*command, str(self.config_file)],
            log_file or self.storage / "orthanc.log",
            environ={**needed, **(environ or {})},
            folder=self.storage,
            ready=self._answers,
        )

    @property
    def config_file(self) -> Path:
        return self.storage / "orthanc.json"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb_url(self) -> str:
        return self.url + "/dicom-web"

    @property
    def auth(self) -> tuple[str, str]:
        return (self.username, self.password)

    def configuration(self) -> dict[str, Any]:
        """What its configuration file says: common.json, SITE.json, this machine, `settings`."""
        root = generation_root(self.generation)
        machine: dict[str, Any] = {
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "StorageDirectory": str(self.storage / "storage"),
            "IndexDirectory": str(self.storage / "storage"),
            "TemporaryDirectory": str(self.storage / "temporary"),
            "RegisteredUsers": {self.username: self.password},
            "Plugins": [
                str(root / f"usr/share/orthanc/plugins/lib{name}.so")
                for name in PLUGINS[self.generation]
            ],
        }
        if PLUGIN_SCRIPT.exists():
            machine["PythonScript"] = str(PLUGIN_SCRIPT)
        return {**read_configuration(self.site_id, self.config_dir), **machine, **self.settings}

    def launch(self) -> None:
        """Write the configuration (readable by its owner only) and start."""
        for folder in (self.storage, self.storage / "storage", self.storage / "temporary"):
            folder.mkdir(parents=True, exist_ok=True)
        write_private(self.config_file, json.dumps(self.configuration(), ensure_ascii=False))
        super().launch()

    def _answers(self) -> bool:
        # Another server on this port does not know our password.
        return answers(self.http_port, "/system", self.auth)


class RedisServer(Program):
    """A Redis on loopback that keeps every write and never evicts a key.

    limited  the password is that of a user who may do what the gateway does, and nothing else
    """

    def __init__(
        self, folder: Path, port: int, *, password: str = "", limited: bool = False,
        log_file: Path | None = None,
    ) -> None:  # fmt: skip
        self.storage = folder.absolute()
        self.port = port
        self.password = password
        self._limited = limited
        super().__init__(
            "redis",
            ["redis-server", str(self.storage / "redis.conf")],
            log_file or self.storage / "redis.log",
            ready=self._answers,
        )

    @property
    def url(self) -> str:
        user = REDIS_USER if self._limited else ""
        secret = f"{user}:{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    def launch(self) -> None:
        """Write redis.conf and start."""
        self.storage.mkdir(parents=True, exist_ok=True)
        here = {"bind": "127.0.0.1", "port": str(self.port), "dir": f'"{self.storage}"'}
        write_private(
            self.storage / "redis.conf", redis_conf(self.password, here, limited=self._limited)
        )
        super().launch()

    def _answers(self) -> bool:
        client = redis.Redis.from_url(self.url, socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


class NginxServer(Program):
    """nginx with as many processes as there are cores, for a file of its http block.

    port  that `servers` lets it listen on
    """

    def __init__(
        self, folder: Path, port: int, servers: Path, *, log_file: Path | None = None
    ) -> None:
        self.storage = folder.absolute()
        self.port = port
        self.servers = servers.absolute()
        command = ["/usr/sbin/nginx", "-p", str(self.storage), "-c", str(self._main_file)]
        super().__init__("nginx", command, log_file or self.storage / "log", ready=self._listens)

    @property
    def _main_file(self) -> Path:
        return self.storage / "nginx.conf"

    def launch(self) -> None:
        """Write nginx.conf and start."""
        self.storage.mkdir(parents=True, exist_ok=True)
        kept = " ".join(f'{kind}_temp_path "{self.storage}/{kind}";' for kind in NGINX_FOLDERS)
        # Its processes must reach folders that are their owner's alone.
        user = "user root; " if os.geteuid() == 0 else ""
        text = (
            f'{user}daemon off; pid "{self.storage}/pid"; error_log stderr;\n'
            f"worker_processes {os.cpu_count() or 1}; events {{ worker_connections 1024; }}\n"
            f'http {{ access_log off; {kept}\ninclude "{self.servers}";\n}}\n'
        )
        write_private(self._main_file, text)
        super().launch()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


NGINX_FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def redis_conf(
    password: str, more: Mapping[str, str] | None = None, *, limited: bool = False
) -> str:
    """The text of redis.conf: every write is kept, nothing is evicted (routing.md E4, E9).

    limited  there is one user, with REDIS_RIGHTS (E34)
    """
    options = dict(more or {}) | REDIS_OPTIONS
    if limited:
        users = {"user default": "off", f"user {REDIS_USER}": f"on >{password} {REDIS_RIGHTS}"}
        options |= users
    elif password:
        options |= {"requirepass": password}
    return "".join(f"{key} {value}\n" for key, value in options.items())


REDIS_USER = "gateway"
REDIS_RIGHTS = (
    "~rq:* ~gateway:* &rq:* +@all -@admin -@dangerous +info +keys "
    "+client|info +client|list +client|setname"
)
REDIS_OPTIONS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "save": '""',
}


def answers(port: int, path: str, auth: tuple[str, str] | None = None) -> bool:
    """Whether the server on this port of 127.0.0.1 answers 200 to that path."""
    token = base64.b64encode(":".join(auth).encode()).decode() if auth else ""
    headers = {"Authorization": f"Basic {token}"} if token else {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def read_configuration(site_id: str, config_dir: Path = CONFIG_DIR) -> dict[str, Any]:
    """common.json with SITE.json over it, key by key; tables are not blended."""
    merged: dict[str, Any] = {}
    for name in ("common", site_id):
        merged |= json.loads((config_dir / f"{name}.json").read_text(encoding="utf-8"))
    return merged


def generation_root(generation: str) -> Path:
    """Folder that stands for "/" to that Orthanc; several clones share one by ORTHANC_NEXT_DIR."""
    if generation == GENERATIONS[0]:
        return Path("/")
    return Path(os.environ.get("ORTHANC_NEXT_DIR") or REPOSITORY / ".orthanc-next").absolute()


def orthanc_command(generation: str) -> tuple[list[str], dict[str, str]]:
    """How that Orthanc is started: (command before the configuration file, environment).

    The newer one runs out of its own folder through its own loader, so it needs no root and no
    chroot; it must be told where its dictionary and its Python library are.
    raises  DemoError if that folder does not exist
    """
    if generation == GENERATIONS[0]:
        return ["/usr/sbin/Orthanc"], {}
    root = generation_root(generation)
    loader = next(iter(sorted(root.glob("usr/lib/*/ld-linux-*.so.*"))), None)
    if loader is None or not (root / "usr/sbin/Orthanc").exists():
        raise DemoError(f"Orthanc {generation} is not in {root}: run .ci/orthanc-next")
    command = [str(loader), "--library-path", str(loader.parent), str(root / "usr/sbin/Orthanc")]
    dictionary = root / "usr/share/dcmtk"
    return command, {
        "DCMDICTPATH": f"{dictionary / 'dicom.dic'}:{dictionary / 'private.dic'}",
        "PYTHONHOME": str(root / "usr"),
    }


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, in one step: it is never half written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
    draft.replace(file)
