"""A socket to one site: how it is opened, and how long it is waited for."""

import errno
import io
import select
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from gateway.clock import Deadline, monotonic_s
from gateway.errors import SiteBusy, SiteError, SiteTimeout, SiteUnreachable, SiteUntrusted
from gateway.model.sites import Site
from gateway.orthanc.addresses import Address, Addresses
from gateway.orthanc.trust import check_address

HEAD_BUFFER = 16 * 1024
SLOWEST_BYTES, SLOWEST_WINDOW_S = 300_000, 30.0  # 10 KB/s over 30 s of waiting (trust.md F4)
KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
UNHEARD_MS = 30_000
"""What was sent and is not acknowledged by then ends the connection (trust.md F10)."""
OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})


class TimedReader(io.RawIOBase):
    """Reads a socket under a total deadline, an idle limit and a lowest rate.

    waited_s  seconds spent waiting for bytes until now
    """

    def __init__(self, sock: socket.socket, deadline: Deadline | None, idle_s: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.idle_s = idle_s
        self.waited_s = 0.0
        self._waited_s = 0.0
        self._got = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        start = self._begin()
        count = self.sock.recv_into(buffer)
        self._judge(start, count)
        return count

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes, b"" at the end."""
        start = self._begin()
        block = self.sock.recv(size)
        self._judge(start, len(block))
        return block

    def wait(self, came: int) -> None:
        """Wait until there is something to read, or the end; `came` bytes were taken unread."""
        start = self._begin()
        self.sock.recv(1, socket.MSG_PEEK)  # waits as a reader does, in threads and under gevent
        self._judge(start, came)

    def _begin(self) -> float:
        timeout = self.idle_s
        if self.deadline is not None:
            timeout = min(timeout, self.deadline.remaining_s())
        if timeout <= 0:
            raise TimeoutError("deadline")
        self.sock.settimeout(timeout)
        return monotonic_s()

    def _judge(self, start_s: float, count: int) -> None:
        seconds = monotonic_s() - start_s
        self.waited_s += seconds
        self._waited_s += seconds
        self._got += count
        if self._waited_s > SLOWEST_WINDOW_S:
            if self._got < SLOWEST_BYTES:
                raise TimeoutError("too slow")
            self._waited_s, self._got = 0.0, 0


class Connection:
    """A socket to one site; `makefile` is all that HTTPResponse asks of it."""

    def __init__(self, sock: socket.socket, url: str) -> None:
        self.sock = sock
        self.url = url
        self.idle_since = monotonic_s()
        self.expect(None, 1.0)

    def expect(self, deadline: Deadline | None, idle_s: float) -> None:
        """Start a new exchange: closing an answer closes its reader but not the socket."""
        self.reader = TimedReader(self.sock, deadline, idle_s)

    def send(self, block: bytes) -> None:
        """Send all of it; mostly one call, without sendall's look at the socket's buffer."""
        sent = self.sock.send(block)
        if sent < len(block):
            self.sock.sendall(block[sent:])

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self.reader, HEAD_BUFFER)

    def is_quiet(self) -> bool:
        """Whether nothing came while it was idle: neither its end, nor bytes that nobody asked for
        and that would be taken for the next answer."""
        try:
            if isinstance(self.sock, ssl.SSLSocket):
                return not select.select([self.sock], [], [], 0)[0]
            self.sock.settimeout(0)
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except (OSError, ValueError):
            pass
        return False

    def close(self) -> None:
        self.sock.close()


def connect(
    site: Site,
    deadline: Deadline,
    addresses: Addresses,
    context: Callable[[Site], ssl.SSLContext],
) -> Connection:
    """A new connection; raises SiteTimeout, SiteUnreachable, SiteUntrusted, SiteBusy.

    context  what a site with https is judged by
    """
    parts = urlsplit(site.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    timeout = deadline.remaining_s()
    trust = context(site) if parts.scheme == "https" else None
    sock: socket.socket | None = None
    try:
        found = addresses.find(parts.hostname or "", port, timeout)
        timeout = min(site.timeouts.connect_s, deadline.remaining_s())
        if timeout <= 0:
            raise TimeoutError
        within = Deadline(timeout)
        sock = _open_socket(found, within)
        _prepare(sock, within)
        check_address(site, sock)
        if trust is not None:
            sock = trust.wrap_socket(sock, server_hostname=parts.hostname)
        return Connection(sock, site.url)
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, OSError):
            raise _translated(site, error, timeout) from error
        raise


def _prepare(sock: socket.socket, within: Deadline) -> None:
    sock.settimeout(max(within.remaining_s(), 0.001))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_MS)
    for option, value in KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _translated(site: Site, error: OSError, timeout_s: float) -> SiteError:
    if isinstance(error, TimeoutError):
        return SiteTimeout(site.site_id, timeout_s)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return SiteUnreachable(site.site_id, "ended during the TLS handshake")
    if isinstance(error, ssl.SSLError):
        return SiteUntrusted(site.site_id, error.reason or "TLS")
    if error.errno in OUT_OF_FILES:
        return SiteBusy(site.site_id, "no descriptor is left for it")
    return SiteUnreachable(site.site_id, type(error).__name__)


def _open_socket(addresses: Sequence[Address], within: Deadline) -> socket.socket:
    """Connected to the first of them that takes it; raises OSError"""
    failure: OSError = OSError("no address")
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(within.remaining_s(), 0.001))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure
