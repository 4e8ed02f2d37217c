"""The real nginx of Debian on a free port, configured as a test or the bench wants it."""

import os
import socket
from pathlib import Path

from gateway.demo.servers import Program

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Nginx(Program):
    """nginx with as many processes as there are cores.

    port     that `servers` lets it listen on
    servers  text of its http block
    """

    def __init__(self, folder: Path, port: int, servers: str) -> None:
        self.port = port
        folder.mkdir(exist_ok=True)
        temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in TEMPORARY)
        file = folder / "nginx.conf"
        # Its processes must reach the folders of tests, which are their owner's alone.
        user = "user root; " if os.geteuid() == 0 else ""
        file.write_text(
            f"{user}daemon off; pid {folder}/pid; error_log stderr;\n"
            f"worker_processes {os.cpu_count() or 1}; events {{ worker_connections 1024; }}\n"
            f"http {{ access_log off; {temporary}\n{servers}\n}}\n"
        )
        command = ["/usr/sbin/nginx", "-p", str(folder), "-c", str(file)]
        super().__init__("nginx", command, folder / "log", ready=self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def cpu_s(self) -> float:
        """Processor seconds of all its processes until now, user and system."""
        return family_cpu_s(self.pid)


def family_cpu_s(pid: int) -> float:
    """Processor seconds of a process and its children, also of those that have ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return _cpu_s(pid, ended=True) + sum(_cpu_s(int(child)) for child in children)


def _cpu_s(pid: int, *, ended: bool = False) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11 : 15 if ended else 13]) / TICKS_PER_S
