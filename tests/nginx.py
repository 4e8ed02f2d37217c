"""The real nginx of Debian on a free port, configured as a test or the bench wants it."""

import os
from pathlib import Path

from gateway.demo.servers import NginxServer

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Nginx(NginxServer):
    """nginx for the text of an http block.

    port     that `servers` lets it listen on
    """

    def __init__(self, folder: Path, port: int, servers: str) -> None:
        folder.mkdir(exist_ok=True)
        file = folder / "servers.conf"
        file.write_text(servers)
        super().__init__(folder, port, file)

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
