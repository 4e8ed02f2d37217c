"""The supervisor of `make run`: starts the whole demo region, follows it, and stops it.

Everything that it starts is its own child and dies with it. Children write log files; one loop
prints what is new in them with the name in front, and looks whether all children live.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from gateway.clock import Deadline, monotonic_s
from gateway.demo.layout import (
    PROGRAMS,
    SITES,
    Layout,
    addresses,
    gateway_environment,
    load_secrets,
    proxy_command,
    region_toml,
    site_settings,
    table,
)
from gateway.demo.servers import (
    REPOSITORY,
    NginxServer,
    OrthancServer,
    Program,
    RedisServer,
    answers,
    write_private,
)
from gateway.errors import DemoError

Say = Callable[[str], None]
Fill = Callable[[Path, Path, Say], None]
"""(region_file, samples folder, say): bring the sample studies into the sites."""

# The gateway's own commands, by the Python that runs this.
GATEWAY = (sys.executable, "-m", "gateway.cli")
TURN_S = 0.2
# A port may still be busy with what a killed region left to end by itself.
PORT_PATIENCE_S = 3.0
RESTARTS = 3
RESTART_WINDOW_S = 600.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PORT_TAKEN = (
    "Порт {port} занят, а он нужен: {name}. Освободите его или возьмите другие порты: "
    "PORT={other} make run\n"
    "Port {port} is taken, and {name} needs it. Free it or take other ports: PORT={other} make run"
)
PORTS_WRONG = (
    "PORT={port}: нужен номер от 1024 до {last}; за ним идут ещё {more} портов.\n"
    "PORT={port}: must be from 1024 to {last}; {more} more ports follow it."
)
FOLDER_BUSY = (
    "Этот регион уже работает (папка {folder}). Второй: REGION_DIR=... PORT=... make run\n"
    "This region runs already (folder {folder}). A second one: REGION_DIR=... PORT=... make run"
)
FOLDER_FOREIGN = (
    "Папка {folder} не похожа на данные региона и не тронута.\n"
    "The folder {folder} does not look like a region's data and is left alone."
)
STARTING = (
    "Запуск региона; данные и журналы: {folder}\nStarting the region; data and logs: {folder}"
)
READY = (
    "Регион работает (запуск {seconds:.0f} с). Остановить: Ctrl-C. Адреса: {file}\n"
    "The region is up (start {seconds:.0f} s). Stop it: Ctrl-C. Addresses: {file}"
)
DIED = (
    "Остановился: {name} (код {code}). Последние строки его журнала {log}:\n"
    "Ended: {name} (code {code}). The last lines of its log {log}:\n{tail}"
)
GIVEN_UP = (
    "{name} останавливается снова и снова; регион завершает работу.\n"
    "{name} ends again and again; the region ends."
)


def tell(text: str) -> None:
    """Print at once; it is no error when nobody reads any more, the logs stand in their files."""
    with suppress(OSError):
        print(text, flush=True)


def run_region(
    folder: Path,
    first_port: int,
    *,
    fill: Fill,
    proxy: bool = False,
    gateway: Sequence[str] = GATEWAY,
    say: Say = tell,
) -> int:
    """Run the whole region until Ctrl-C or SIGTERM, and end everything that was started.

    folder   data, logs and passwords; made if it is missing
    proxy    nginx stands in front
    gateway  the words before `web`, `keeper` and `worker`
    returns  the exit code: 0 after a wish to stop, 1 if something did not start or kept dying
    """
    layout = Layout(folder.absolute(), first_port, proxy)
    try:
        check_numbers(layout)
        with folder_lock(layout.folder):
            check_ports(layout)
            return Supervisor(layout, gateway, fill, say).run()
    except (DemoError, OSError) as error:  # OSError: the folder is another user's, the disk is full
        say(str(error))
        return 1


def reset_region(folder: Path) -> None:
    """Empty the data folder of a region that does not run.

    raises  DemoError if it runs, or if the folder was never a region's
    """
    folder = folder.absolute()
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / ".lock").exists() and not (folder / "compose").exists():
        raise DemoError(FOLDER_FOREIGN.format(folder=folder))
    with folder_lock(folder):
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the lock ends with it, however it ends.

    raises  DemoError if another process holds it
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(FOLDER_BUSY.format(folder=folder)) from None
        yield


def check_numbers(layout: Layout) -> None:
    """Raise DemoError if the ports do not fit between 1024 and 65535."""
    more = len(layout.ports()) - 1
    last = 65535 - more
    if not 1024 <= layout.first_port <= last:
        raise DemoError(PORTS_WRONG.format(port=layout.first_port, last=last, more=more))


def check_ports(layout: Layout, patience_s: float = PORT_PATIENCE_S) -> None:
    """Raise DemoError that names each taken port and what wants it; nothing is started before."""
    deadline = Deadline(patience_s)
    while taken := {port: name for port, name in layout.ports().items() if not is_free(port)}:
        if deadline.passed:
            other = next_free_port(layout)
            lines = [
                PORT_TAKEN.format(port=port, name=name, other=other) for port, name in taken.items()
            ]
            raise DemoError("\n".join(lines))
        time.sleep(TURN_S)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of every address of the machine."""
    with socket.socket() as probe:
        # Connections of the last run that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - Orthanc listens so; closed at once
            probe.listen(1)
        except OSError:
            return False
    return True


def next_free_port(layout: Layout) -> int:
    """A first port for which all ports are free."""
    candidates = range(layout.first_port + 100, 65000, 100)
    return next(
        (
            port
            for port in candidates
            if all(map(is_free, replace(layout, first_port=port).ports()))
        ),
        layout.first_port + 100,
    )


class LogReader:
    """Reads the lines that a program added to its log since the last look."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._at = 0
        self._rest = b""

    def new_lines(self) -> list[str]:
        """Whole lines only; a line that is still being written comes with the next look."""
        try:
            with self.file.open("rb") as log:
                log.seek(self._at)
                data = log.read()
        except FileNotFoundError:
            return []
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "replace").rstrip() for line in lines]


class Supervisor:
    """Starts the stages one after the other and stops them in the reverse order."""

    def __init__(self, layout: Layout, gateway: Sequence[str], fill: Fill, say: Say) -> None:
        self.layout = layout
        self.say = say
        self.fill = fill
        self.passwords = load_secrets(layout.folder)
        self.redis = RedisServer(
            layout.folder / "redis",
            layout.redis_port,
            password=self.passwords["redis"],
            limited=True,
            log_file=layout.log_file("redis"),
        )
        servers: list[Program] = [self.redis, *map(self._orthanc, range(len(SITES)))]
        self._words = tuple(gateway)
        front: list[Program] = [self._nginx()] if layout.proxy else []
        self.stages = [servers, [self._gateway(gateway, name) for name in PROGRAMS], front]
        self.programs = [program for stage in self.stages for program in stage]
        self.logs = {program.name: LogReader(program.log_file) for program in self.programs}
        self._width = max(map(len, self.logs))
        self._deaths: dict[str, list[float]] = {program.name: [] for program in self.programs}
        self._restart_at: dict[str, float] = {}

    def _orthanc(self, number: int) -> OrthancServer:
        site = SITES[number]
        return OrthancServer(
            self.layout.site_folder(site),
            site.site_id,
            self.layout.http_port(site),
            self.layout.dicom_port(site),
            username=site.site_id,
            password=self.passwords[site.site_id],
            settings=site_settings(
                site,
                self.layout.dicom_addresses,
                self.layout.gateway_url,
                str(self.layout.secret_file(site.event_key)),
            ),
            log_file=self.layout.log_file(site.site_id),
        )

    def _nginx(self) -> NginxServer:
        folder = self.layout.proxy_folder
        return NginxServer(
            folder,
            self.layout.first_port,
            folder / "gateway.conf",
            log_file=self.layout.log_file("nginx"),
        )

    @property
    def _environ(self) -> dict[str, str]:
        return gateway_environment(self.layout, self.redis.url, REPOSITORY / ".viewer")

    def _gateway(self, gateway: Sequence[str], name: str) -> Program:
        layout = self.layout
        return Program(
            name,
            [*gateway, *PROGRAMS[name], "--region", str(layout.region_file)],
            layout.log_file(name),
            environ=self._environ,
            folder=layout.state,
            ready=(lambda: answers(layout.web_port, "/healthz")) if name == "web" else None,
        )

    def run(self) -> int:
        """Start, fill, follow; returns the exit code. Everything has ended when it returns."""
        code = 0
        with stop_signals(_raise_stop):
            try:
                self.start()
                self.watch()
            except KeyboardInterrupt:
                self.say("\nОстановка… / Stopping…")
            except DemoError as error:
                self.say(f"\n{error}\n")
                code = 1
            finally:
                # From here on a second wish to stop kills.
                with stop_signals(lambda *_: self.kill()):
                    self.stop()
        self.say("Всё остановлено. / Everything has stopped.")
        return code

    def start(self) -> None:
        """Write the files, start all programs, load the samples, and print the table."""
        begun = monotonic_s()
        self.say(STARTING.format(folder=self.layout.folder))
        document = self._write_files()
        servers, gateway, front = self.stages
        self._start_stage(servers)
        for program in servers:
            # Pages of versions and paths; whoever wants them finds them in the file.
            self.logs[program.name].new_lines()
        self._equip()  # before the keeper looks which figures are due
        self._start_stage(gateway)
        if front:
            self._write_proxy_file()
            self._start_stage(front)
        self.fill(self.layout.region_file, self.layout.samples, self._progress)
        self.print_logs()
        self.say(table(document))
        file = self.layout.folder / "addresses.json"
        self.say(READY.format(seconds=monotonic_s() - begun, file=file) + "\n")

    def _start_stage(self, programs: Sequence[Program]) -> None:
        for program in programs:
            program.launch()
        for program in programs:
            program.wait_ready()
            self.say(f"  ✓ {program.name}")

    def _write_files(self) -> dict[str, Any]:
        layout = self.layout
        urls = {site.site_id: layout.site_url(site) for site in SITES}
        write_private(layout.region_file, region_toml(urls, "secrets/"))
        document = addresses(layout, self.passwords, self.redis.url)
        text = json.dumps(document, ensure_ascii=False, indent=2)
        write_private(layout.folder / "addresses.json", text + "\n")
        for program in self.programs:
            if program.log_file.exists():
                program.log_file.replace(program.log_file.with_suffix(".log.1"))
        return document

    def _write_proxy_file(self) -> None:
        """Let the gateway write what nginx reads. Raises DemoError with what it says."""
        layout, folder = self.layout, self.layout.proxy_folder
        words = proxy_command(
            str(layout.region_file),
            f"127.0.0.1:{layout.first_port}",
            "decisions",  # below nginx's own folder, whose path may hold blanks
            str(folder / "gateway.conf"),
        )
        self._run_gateway(words)

    def _equip(self) -> None:
        """Let the gateway fill its register, if it is empty. Raises DemoError with what it says."""
        self._run_gateway(["demo", "register", "--region", str(self.layout.region_file)])

    def _run_gateway(self, words: Sequence[str]) -> None:
        self.layout.state.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [*self._words, *words],
            env={**os.environ, **self._environ},
            cwd=self.layout.state,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise DemoError(f"{' '.join(words[:2])}: {done.stderr.strip()}")

    def _progress(self, text: str) -> None:
        self.print_logs()
        self.say(text)

    def watch(self) -> None:
        """Follow logs and lives until a signal comes. Raises DemoError if one keeps dying."""
        while True:
            self.print_logs()
            for program in self.programs:
                self._look_after(program)
            time.sleep(TURN_S)

    def _look_after(self, program: Program) -> None:
        if program.alive:
            return
        due = self._restart_at.get(program.name)
        if due is None:
            self._restart_at[program.name] = monotonic_s() + self._note_death(program)
        elif monotonic_s() >= due:
            del self._restart_at[program.name]
            program.launch()
            self.say(f"  ↻ {program.name}")

    def _note_death(self, program: Program) -> float:
        """Tell it, and return the seconds until the next start: 1, 2, 4."""
        self.print_logs()
        now = monotonic_s()
        recent = [at for at in self._deaths[program.name] if at > now - RESTART_WINDOW_S]
        self._deaths[program.name] = [*recent, now]
        self.say(
            "\n"
            + DIED.format(
                name=program.name,
                code=program.exit_code,
                log=program.log_file,
                tail=program.log_tail(),
            )
        )
        if len(recent) >= RESTARTS:
            raise DemoError(GIVEN_UP.format(name=program.name))
        return float(2 ** len(recent))

    def print_logs(self) -> None:
        """Print what every program wrote since the last look, its name in front."""
        for name, log in self.logs.items():
            for line in log.new_lines():
                self.say(f"{name:<{self._width}} │ {line}")

    def stop(self) -> None:
        """End the last stage first, each program by its process id, and wait for all of them."""
        for stage in reversed(self.stages):
            # The last words of the gateway are printed, those of the servers stay in their files.
            self.print_logs()
            for program in reversed(stage):
                program.ask_to_stop()
            for program in reversed(stage):
                program.stop()

    def kill(self) -> None:
        """End every child at once."""
        for program in reversed(self.programs):
            program.kill()


def _raise_stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def stop_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Hand Ctrl-C, SIGTERM and a closed terminal to `handler` inside the block."""
    before = {number: signal.signal(number, handler) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
