"""Finds out how one site behaves: a handful of cheap questions, answered with a QuirkProfile.

What a server says of itself (version, plugins) comes from Orthanc's REST API; what it does is
measured on its DICOMweb face, which is all that a site of kind `dicomweb` has. Nothing is changed
at the site, no pixels are asked for, and all questions together end by one deadline.
"""

import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, cast

import orjson
import requests
from requests.adapters import HTTPAdapter

from gateway.clock import Deadline, utc_now
from gateway.errors import (
    SiteError,
    SiteRefused,
    SiteSpeaksGarbage,
    SiteStreamCut,
    SiteTimeout,
    SiteUnreachable,
    SiteUntrusted,
)
from gateway.model.sites import QuirkProfile, Site
from gateway.orthanc import rest
from gateway.orthanc.trust import check_address

BYTE_CAP = 4 * 2**20
BLOCK = 64 * 1024
STUDY_UID, RETRIEVE_URL = "0020000D", "00081190"
NOBODY = "2.25.110219375894416703219462034597116"  # a UID that no image has
PROBE_HOST = "probe.invalid"
# DCMTK, which Orthanc is built with, reads these; JPEG 2000 needs the GDCM plugin.
DCMTK_DECODES = ("deflated", "jpeg", "jpegls", "rle")
THUMBNAILS_SINCE = (1, 19)

HEADERS = {
    "Accept": "application/dicom+json",
    "Accept-Encoding": "identity",
    "Connection": "close",
}

Row = Mapping[str, Any]


def probe_site(site: Site, now: datetime) -> QuirkProfile:
    """Ask the site how it behaves, within `site.timeouts.probe_s` for all questions together.

    returns  the profile; if the site failed, the default one with `problem` "code (detail)"
    """
    deadline = Deadline(site.timeouts.probe_s)
    try:
        known = _read_identity(site, deadline) if site.kind == "orthanc" else QuirkProfile()
        with _Asker(site, deadline) as asker:
            measured = _measure(asker, known)
        return replace(measured, answers_anyone=_answers_anyone(site, deadline), probed_at=now)
    except SiteError as error:
        detail = f" ({error.detail})" if error.detail else ""
        return QuirkProfile(probed_at=now, problem=error.code + detail)


def _read_identity(site: Site, deadline: Deadline) -> QuirkProfile:
    names = rest.plugins(site, deadline)
    if "dicom-web" not in names:
        raise SiteRefused(site.site_id, 404, "the plugin dicom-web is not loaded")
    system = rest.system(site, deadline)
    rejects = system.get("MaximumStorageMode") == "Reject"
    version = str(rest.plugin(site, "dicom-web", deadline).get("Version", ""))
    return QuirkProfile(
        software="Orthanc",
        version=str(system.get("Version", "")),
        # In megabytes (2^20 bytes); one that rejects what is new when it is full deletes nothing.
        recycles_bytes=0 if rejects else _whole(system.get("MaximumStorageSize")) * 2**20,
        recycles_patients=0 if rejects else _whole(system.get("MaximumPatientCount")),
        dicomweb_version=version,
        plugins=names,
        has_thumbnail=_is_since(version, THUMBNAILS_SINCE),
        decodes=tuple(sorted({*DCMTK_DECODES, *(["jpeg2000"] if "gdcm" in names else [])})),
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _is_since(version: str, first: tuple[int, ...]) -> bool:
    """Whether "1.20" is at least (1, 19); a build without a number ("mainline") is the newest."""
    if not (numbers := re.match(r"[0-9]+(?:\.[0-9]+)*", version)):
        return bool(version)
    return tuple(int(number) for number in numbers[0].split(".")) >= first


def _measure(asker: "_Asker", known: QuirkProfile) -> QuirkProfile:
    forwarded = {"Forwarded": f"host={PROBE_HOST};proto=https"}
    first = asker.rows("limit=1", forwarded)
    return replace(
        known,
        software=known.software or asker.software,
        clock_ahead_s=asker.clock_ahead_s,
        pages=_pages(first, asker.rows("limit=1&offset=1")),
        decodes_query=_decodes(asker, first),
        forwarded=bool(first)
        and _text(first[0], RETRIEVE_URL).startswith(f"https://{PROBE_HOST}/"),
        single_part=asker.takes_single_part(),
    )


def _answers_anyone(site: Site, deadline: Deadline) -> bool:
    """Asked without password and certificate, for a study that is none: nothing of a patient."""
    stranger = replace(site, username="", client_certificate_file="", client_key_file="")
    try:
        with _Asker(stranger, deadline) as asker:
            return asker.status(f"StudyInstanceUID={NOBODY}&limit=1") in (200, 204)
    except SiteError:
        return False


def _pages(first: list[Row], second: list[Row]) -> bool | None:
    """Judge the answers to `limit=1` and `limit=1&offset=1`."""
    if len(first) > 1 or len(second) > 1:
        return False
    if not first or not second:
        return None  # fewer than two studies show nothing
    return _text(first[0], STUDY_UID) != _text(second[0], STUDY_UID)


def _decodes(asker: "_Asker", first: list[Row]) -> bool:
    """Ask for a study that is there and for one that is not, every letter percent-encoded.

    A server that does not decode finds neither; one that ignores the argument "finds" both.
    """
    if not first:
        return asker.status("limit=%31") == 200 and asker.status("limit=%61") != 200
    here, nobody = (
        "StudyInstanceUID=" + "".join(f"%{ord(letter):02X}" for letter in uid) + "&limit=1"
        for uid in (_text(first[0], STUDY_UID), NOBODY)
    )
    found = asker.rows(here)
    return [_text(row, STUDY_UID) for row in found] == [_text(first[0], STUDY_UID)] and not (
        asker.rows(nobody)
    )


def _text(row: Row, tag: str) -> str:
    values = row.get(tag, {}).get("Value")
    return str(values[0]) if isinstance(values, list) and values else ""


class _Asker:
    """Puts DICOMweb questions to one site with requests, all of them under one deadline."""

    def __init__(self, site: Site, deadline: Deadline) -> None:
        self.software = ""
        self.clock_ahead_s = 0
        self._site = site
        self._deadline = deadline
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = site.ca_file or True
        if site.client_certificate_file:
            self._session.cert = (site.client_certificate_file, site.client_key_file)
        if site.username:
            self._session.auth = (site.username, site.password)
        self._adapter = _DeadlineAdapter(site, deadline)
        self._session.mount("http://", self._adapter)
        self._session.mount("https://", self._adapter)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()

    def rows(self, query: str, headers: Mapping[str, str] | None = None) -> list[Row]:
        """Studies that match, as DICOM JSON. Raises SiteError if the site does not answer that."""
        status, body = self._get(f"/studies?{query}", headers or {})
        if status == 204:
            return []
        if status != 200:
            raise SiteRefused(self._site.site_id, status)
        try:
            rows = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise SiteSpeaksGarbage(self._site.site_id, "the answer is not JSON") from error
        if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
            raise SiteSpeaksGarbage(self._site.site_id, "the answer is not DICOM JSON")
        return cast(list[Row], rows)

    def status(self, query: str) -> int:
        """Only the status of the answer."""
        return self._get(f"/studies?{query}", {})[0]

    def takes_single_part(self) -> bool:
        """Whether `application/dicom` is refused as a type, or only the image is not found."""
        path = f"/studies/{NOBODY}/series/{NOBODY}/instances/{NOBODY}"
        return self._get(path, {"Accept": "application/dicom"})[0] in (200, 404, 410)

    def _get(self, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        url = self._site.dicomweb_url + path
        request = requests.Request("GET", url, headers={**HEADERS, **headers})
        with _translated(self._site, self._deadline):
            prepared = self._session.prepare_request(request)
            prepared.url = url  # requests would decode %31 before sending, see _decodes
            with self._session.send(
                prepared,
                stream=True,
                allow_redirects=False,
                verify=self._session.verify,
                timeout=(self._site.timeouts.connect_s, max(0.001, self._deadline.remaining_s())),
            ) as answer:
                self.software = self.software or answer.headers.get("Server", "")[:64]
                self.clock_ahead_s = _ahead_s(answer.headers.get("Date", ""))
                if answer.status_code in (401, 403):
                    raise SiteUntrusted(self._site.site_id, f"HTTP {answer.status_code}")
                return answer.status_code, self._read(answer)

    def _read(self, answer: requests.Response) -> bytes:
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise SiteSpeaksGarbage(self._site.site_id, "the answer is compressed")
        body = bytearray()
        for block in answer.iter_content(BLOCK):
            body += block
            if len(body) > BYTE_CAP:
                raise SiteSpeaksGarbage(self._site.site_id, f"more than {BYTE_CAP} bytes")
            if self._deadline.passed:
                break
        if self._deadline.passed:  # what a shut socket gave looks like a short answer
            raise SiteTimeout(self._site.site_id, self._deadline.total_s)
        return bytes(body)


def _ahead_s(date: str) -> int:
    """Of the clock that wrote a `Date` (RFC 9110 6.6.1), in whole seconds; 0: it says none."""
    try:
        return round((parsedate_to_datetime(date) - utc_now()).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and all(isinstance(value, dict) for value in row.values())


class _DeadlineAdapter(HTTPAdapter):
    """Shuts its sockets at the deadline: timeouts of requests are for each read, and a site that
    sends a byte a second would hold us for hours (trust.md F4)."""

    def __init__(self, site: Site, deadline: Deadline) -> None:
        super().__init__()
        self._site = site
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(deadline.remaining_s(), self._shut)
        self._timer.daemon = True
        self._timer.start()

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        # Orthanc closes as we asked it to, but does not say so: what is idle here is dead.
        self.poolmanager.clear()
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        plain, sockets, site = type(pool).ConnectionCls, self._sockets, self._site

        class Watched(plain):  # type: ignore[misc, valid-type]
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)
                check_address(site, self.sock)  # nothing has been sent yet

        pool.ConnectionCls = Watched
        return pool

    def _shut(self) -> None:
        for sock in tuple(self._sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._timer.cancel()
        super().close()


@contextmanager
def _translated(site: Site, deadline: Deadline) -> Iterator[None]:
    try:
        yield
    except SiteError:
        raise
    except requests.exceptions.SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise SiteUntrusted(site.site_id, "its certificate is not accepted") from error
        raise SiteUnreachable(site.site_id, "no TLS") from error
    except OSError as error:  # every exception of requests is one
        if deadline.passed or isinstance(error, requests.Timeout):
            raise SiteTimeout(site.site_id, deadline.total_s - deadline.remaining_s()) from error
        if isinstance(error, requests.exceptions.ChunkedEncodingError):
            raise SiteStreamCut(site.site_id) from error
        if isinstance(error, requests.ConnectionError):
            raise SiteUnreachable(site.site_id, "no connection") from error
        if isinstance(error, requests.RequestException):
            raise SiteSpeaksGarbage(site.site_id, "the answer is not HTTP") from error
        raise SiteUntrusted(site.site_id, "its ca_file cannot be used") from error
