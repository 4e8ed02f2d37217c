"""Orthanc's own REST API for control traffic: pyorthanc, wrapped once (it speaks httpx underneath).

Every call ends by one total deadline and reads at most BYTE_CAP; nothing comes from environment
variables, no redirect is followed, and what httpx raises becomes a SiteError. Pixels never pass
here (wire.py carries them).
"""

import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpcore
import httpx
import orjson
import pyorthanc

from gateway.clock import Deadline
from gateway.errors import (
    SiteError,
    SiteRefused,
    SiteSpeaksGarbage,
    SiteStreamCut,
    SiteTimeout,
    SiteUnreachable,
    SiteUntrusted,
)
from gateway.model.sites import Site
from gateway.orthanc.trust import check_address, check_question, context_of

BYTE_CAP = 8 * 2**20
CHANGES_LIMIT = 4000

Ask = Callable[[pyorthanc.Orthanc], httpx.Response]


@dataclass(frozen=True)
class Change:
    """One line of a site's change feed; `name` is Orthanc's word, like "NewInstance"."""

    seq: int
    name: str
    level: str
    orthanc_id: str
    happened_at: datetime


@dataclass(frozen=True)
class ChangePage:
    """Lines in rising `seq`. `done`: there are no more now. `last`: where to go on from."""

    changes: tuple[Change, ...]
    done: bool
    last: int


def system(site: Site, deadline: Deadline | None = None) -> dict[str, Any]:
    """`GET /system`: version, name, AE title. Raises SiteError."""
    return _record(site, "/system", ask_site(site, lambda o: o.get_system(), deadline))


def plugins(site: Site, deadline: Deadline | None = None) -> tuple[str, ...]:
    """`GET /plugins`: names of what is loaded, in alphabetical order. Raises SiteError."""
    names = ask_site(site, lambda o: o.get_plugins(), deadline)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SiteSpeaksGarbage(site.site_id, "/plugins is not a list of names")
    return tuple(sorted(names))


def plugin(site: Site, name: str, deadline: Deadline | None = None) -> dict[str, Any]:
    """`GET /plugins/{name}`: its version. Raises SiteError; SiteRefused 404 if it is not loaded."""
    return _record(site, "/plugins", ask_site(site, lambda o: o.get_plugins_id(name), deadline))


def statistics(site: Site) -> dict[str, Any]:
    """`GET /statistics`: CountStudies, CountInstances, TotalDiskSize (a text, in bytes)."""
    return _record(site, "/statistics", ask_site(site, lambda o: o.get_statistics()))


def changes(site: Site, since: int, limit: int) -> ChangePage:
    """One page of the change feed after number `since`. Raises SiteError.

    `last` may be smaller than `since`: then the site's database was replaced (routing.md E18).
    """
    query = {"since": since, "limit": min(limit, CHANGES_LIMIT)}
    page = _record(site, "/changes", ask_site(site, lambda o: o.get_changes(params=query)))
    try:
        lines = tuple(
            Change(
                seq=int(line["Seq"]),
                name=str(line["ChangeType"]),
                level=str(line["ResourceType"]),
                orthanc_id=str(line["ID"]),
                happened_at=datetime.strptime(line["Date"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC),
            )
            for line in page["Changes"]
        )
        return ChangePage(lines, bool(page["Done"]), int(page["Last"]))
    except (KeyError, TypeError, ValueError) as error:
        raise SiteSpeaksGarbage(site.site_id, "/changes is not a change feed") from error


def ask_site(site: Site, ask: Ask, deadline: Deadline | None = None) -> Any:
    """Put one question to Orthanc and read the JSON of its answer.

    deadline  for several questions together; without it `site.timeouts.probe_s` for this one
    raises    SiteTimeout when it has passed, and every other SiteError
    """
    deadline = deadline or Deadline(site.timeouts.probe_s)
    with _translated(site, deadline), _open_orthanc(site, deadline) as orthanc:
        answer = ask(orthanc)
    if answer.status_code in (401, 403):
        raise SiteUntrusted(site.site_id, f"HTTP {answer.status_code}")
    if answer.status_code != 200:
        raise SiteRefused(site.site_id, answer.status_code)
    try:
        return orjson.loads(answer.content)
    except orjson.JSONDecodeError as error:
        raise SiteSpeaksGarbage(site.site_id, "the answer is not JSON") from error


def _record(site: Site, path: str, answer: object) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise SiteSpeaksGarbage(site.site_id, f"{path} is not a JSON object")
    return answer


def _open_orthanc(site: Site, deadline: Deadline) -> pyorthanc.Orthanc:
    return pyorthanc.Orthanc(
        site.url,
        site.username or None,
        site.password or None,
        return_raw_response=True,
        transport=_Transport(site, deadline),
        trust_env=False,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity", "Connection": "close"},
        timeout=httpx.Timeout(deadline.total_s, connect=site.timeouts.connect_s),
    )


class _Transport(httpx.HTTPTransport):
    """httpx's own, with a byte cap and a deadline for the whole exchange.

    httpx's timeouts are for each read: a site that sends a byte a second would never end (F4).
    """

    def __init__(self, site: Site, deadline: Deadline) -> None:
        # Reading certificates costs 20 ms, so not for plain HTTP.
        context = context_of(site) if site.url.startswith("https:") else None
        super().__init__(verify=context or False, trust_env=False)
        self._site = site
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, network_backend=_Backend(site, deadline)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        below = urlsplit(self._site.url).path.rstrip("/")
        target = request.url.raw_path.decode("ascii").removeprefix(below)
        check_question(self._site, request.method, target)
        answer = super().handle_request(request)
        # A small body may unpack to gigabytes (routing.md E24); we asked for none packed.
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            answer.close()
            raise SiteSpeaksGarbage(self._site.site_id, "the answer is compressed")
        answer.stream = _CappedStream(self._site, answer.stream)
        return answer


class _CappedStream(httpx.SyncByteStream):
    def __init__(self, site: Site, stream: Any) -> None:
        self._site = site
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for block in self._stream:
            size += len(block)
            if size > BYTE_CAP:
                raise SiteSpeaksGarbage(self._site.site_id, f"more than {BYTE_CAP} bytes")
            yield block

    def close(self) -> None:
        self._stream.close()


class _Backend(httpcore.SyncBackend):
    """Opens sockets whose every read and write ends by one deadline."""

    def __init__(self, site: Site, deadline: Deadline) -> None:
        self._site = site
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        check_address(self._site, stream.get_extra_info("socket"))
        return _DeadlineStream(stream, self._deadline)


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def _left(self, timeout: float | None) -> float:
        left = self._deadline.remaining_s()
        if not left:
            raise httpcore.ReadTimeout
        return left if timeout is None else min(left, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._left(timeout))
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@contextmanager
def _translated(site: Site, deadline: Deadline) -> Iterator[None]:
    try:
        yield
    except SiteError:
        raise
    except httpx.TimeoutException as error:
        raise SiteTimeout(site.site_id, deadline.total_s - deadline.remaining_s()) from error
    except httpx.ConnectError as error:
        _raise_connect_error(site, error)
    except httpx.RemoteProtocolError as error:
        detail = str(error)
        if "incomplete" in detail or "without sending complete" in detail:
            raise SiteStreamCut(site.site_id) from error
        if "disconnected" in detail:
            raise SiteUnreachable(site.site_id, "it closed the connection") from error
        raise SiteSpeaksGarbage(site.site_id, "the answer is not HTTP") from error
    except httpx.TransportError as error:
        raise SiteUnreachable(site.site_id, type(error).__name__) from error
    except (ssl.SSLError, OSError) as error:
        raise SiteUntrusted(site.site_id, "its ca_file cannot be used") from error


def _raise_connect_error(site: Site, error: httpx.ConnectError) -> NoReturn:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        raise SiteUntrusted(site.site_id, "its certificate is not accepted") from error
    raise SiteUnreachable(site.site_id, "no connection") from error
