"""Where deliveries go, and how much each destination may be asked. Pure: parsing takes a dict.

region.toml lists destinations beside the sites; an archive is one by itself, under its site's id.
What is no site must lie within `[region] egress`, which the operator of the gateway sets: a rule
can name a destination, but nobody can send studies to where the operator did not allow.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from gateway.errors import SettingsError
from gateway.model.reading_region import (
    Reader,
    ReadSecret,
    read_client_certificate,
    read_password,
    read_secret_of,
    read_timeouts,
)
from gateway.model.routing.actions import VERIFY, Verify
from gateway.model.sites import SITE_ID, WINDOW, Region, Secret, Site

Kind = Literal["dicomweb", "orthanc", "dicom"]
KINDS: tuple[Kind, ...] = ("dicomweb", "orthanc", "dicom")
DAY = "00:00-24:00"
PSEUDONYM_KEY_LENGTH = 16
DEFAULT_VERIFY: tuple[Verify, ...] = ("SET", "CHECKSUM", "FETCH")
_MODALITY = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """How much a destination gets at once.

    parallel          deliveries at the same time, over all workers; the dispatcher keeps it
    bytes_per_s       over all of them; 0: as fast as it goes
    windows           "HH:MM-HH:MM" of the destination's zone in which it takes routine and bulk
                      deliveries; an emergency goes at any time
    breaker_failures  deliveries that fail one after the other before it is left alone
    breaker_s         for so long; then one delivery tries
    """

    parallel: int = 4
    bytes_per_s: int = 0
    windows: tuple[str, ...] = (DAY,)
    time_zone: str = "Europe/Moscow"
    breaker_failures: int = 5
    breaker_s: float = 60.0

    @property
    def share_bytes_per_s(self) -> float:
        """What one of its parallel deliveries may use; 0: no limit."""
        return self.bytes_per_s / self.parallel

    def is_open(self, now: datetime) -> bool:
        """Whether a routine delivery may begin now."""
        there = now.astimezone(ZoneInfo(self.time_zone)).strftime("%H:%M")
        return any(_holds(window, there) for window in self.windows)


@dataclass(frozen=True)
class Destination:
    """One place that studies are sent to; all values are checked.

    kind           dicomweb: STOW-RS to any server. orthanc: the REST API of an Orthanc.
                   dicom: C-STORE by the Orthanc of the hospital that has the study, which knows
                   it as `modality`
    server         how it is reached over HTTP. Kind `dicom` only verifies by it, and may have none:
                   then it is asked by C-FIND
    modality       also asks for storage commitment where verify has COMMIT
    fetch_percent  of the instances that FETCH reads back; of every 100th study all are read
    pseudonym_key  makes the new UIDs and PatientIDs of what is de-identified on its way here;
                   without it nothing can be
    """

    destination_id: str
    name_ru: str
    name_en: str
    kind: Kind
    server: Site | None = None
    modality: str = ""
    verify: tuple[Verify, ...] = DEFAULT_VERIFY
    fetch_percent: float = 1.0
    limits: Limits = field(default_factory=Limits)
    pseudonym_key: Secret = Secret("")


def _holds(window: str, now: str) -> bool:
    begin, _, end = window.partition("-")
    return begin <= now < end if begin < end else now >= begin or now < end


def with_destinations(
    region: Region, document: Mapping[str, Any], read_secret: ReadSecret
) -> Region:
    """The region with its `[[destination]]` tables and its archives.

    raises  SettingsError with every mistake, as parse_region
    """
    reader = Reader()
    egress = read_egress(reader, document["region"].get("egress", []))
    tables = document.get("destination", [])
    if not isinstance(tables, list):
        reader.mistake("[[destination]]", "is no list of tables", "[[destination]] for each")
        tables = []
    found = [
        _parse(reader, n, table, region, egress, read_secret) for n, table in enumerate(tables, 1)
    ]
    ids = [destination.destination_id for destination in found]
    for n, destination_id in enumerate(ids, 1):
        if destination_id and ids.count(destination_id) > 1:
            reader.mistake(
                f"[[destination]] {n}: id",
                f'"{destination_id}" is used twice',
                "another id for each destination",
            )
    if reader.mistakes:
        raise SettingsError(reader.mistakes)
    archives = [
        of_site(site) for site in region.sites if site.role == "archive" and site.site_id not in ids
    ]
    return replace(region, destinations=(*archives, *found))


def of_site(site: Site) -> Destination:
    """A site as a destination, with every default.

    By STOW-RS even to an Orthanc, which keeps no chunked request whole in its memory (measured: no
    slower than its REST API).
    """
    limits = Limits(time_zone=site.time_zone)
    return Destination(site.site_id, site.name_ru, site.name_en, "dicomweb", site, limits=limits)


KEYS = {
    "id", "name_ru", "name_en", "kind", "site", "url", "dicomweb_root", "server_kind", "username",
    "password_file", "password_env", "ca_file", "client_certificate_file", "client_key_file",
    "modality", "verify", "fetch_percent", "limits", "timeouts", "pseudonym_key_file",
    "pseudonym_key_env",
}  # fmt: skip
_OF_SERVER = (
    "url", "username", "password_file", "password_env", "ca_file", "client_certificate_file",
    "client_key_file", "timeouts",
)  # fmt: skip


def _parse(
    reader: Reader,
    n: int,
    table: Any,
    region: Region,
    egress: Sequence[str],
    read_secret: ReadSecret,
) -> Destination:
    if not isinstance(table, Mapping):
        reader.mistake(f"[[destination]] {n}", "is not a table", "[[destination]] and its keys")
        table = {}
    where = f"[[destination]] {n}"
    where += f" ({table['id']})" if isinstance(table.get("id"), str) else ""
    reader.unknown_keys(where, table, KEYS)
    destination_id = reader.text(table, where, "id", required=True)
    if destination_id and not SITE_ID.fullmatch(destination_id):
        reader.mistake(f"{where}: id", "has letters that an id may not have", '"region-archive"')
    server = _server(reader, where, table, region, egress, read_secret)
    kind = reader.choice(table, where, "kind", KINDS)
    modality = reader.text(table, where, "modality", "")
    if modality and not _MODALITY.fullmatch(modality):
        reader.mistake(f"{where}: modality", "is no name of a modality", "as Orthanc knows it")
    if kind == "dicom" and not modality:
        reader.mistake(f"{where}: modality", "is missing for kind dicom", 'modality = "archive"')
    if kind != "dicom" and server is None:
        reader.mistake(f"{where}: url", "is missing", "url or site")
    if kind == "orthanc" and server is not None and server.kind != "orthanc":
        reader.mistake(f"{where}: kind", "is orthanc at a server that is none", '"dicomweb"')
    key = read_secret_of(reader, where, table, "pseudonym_key", read_secret)
    if key and len(key) < PSEUDONYM_KEY_LENGTH:
        reader.mistake(
            f"{where}: pseudonym_key", "is too short", f"at least {PSEUDONYM_KEY_LENGTH} letters"
        )
    return Destination(
        destination_id=destination_id,
        name_ru=reader.text(table, where, "name_ru", server.name_ru if server else destination_id),
        name_en=reader.text(table, where, "name_en", server.name_en if server else destination_id),
        kind=kind,
        server=server,
        modality=modality,
        verify=_verify(reader, where, table, kind, modality, server),
        fetch_percent=_number(reader, where, table, "fetch_percent", 1.0, 0, 100),
        limits=_limits(reader, where, table.get("limits", {}), server),
        pseudonym_key=key,
    )


def _server(
    reader: Reader,
    where: str,
    table: Mapping[str, Any],
    region: Region,
    egress: Sequence[str],
    read_secret: ReadSecret,
) -> Site | None:
    named = reader.text(table, where, "site", "")
    if named:
        for key in _OF_SERVER:
            if key in table:
                reader.mistake(f"{where}: {key}", "stands beside site", "it in [[site]] alone")
        site = region.site(named)
        if site is None:
            ids = [site.site_id for site in region.sites]
            reader.mistake(f"{where}: site", f'no site has the id "{named}"', f"one of {ids}")
        return site
    url = reader.text(table, where, "url", "").rstrip("/")
    if not url:
        return None
    reader.check_url(where, url)
    if not allowed(url, egress):
        reader.mistake(
            f"{where}: url",
            "lies outside of what the operator allows",
            "its host into [region] egress, if studies may go there",
        )
    root = "/" + reader.text(table, where, "dicomweb_root", "/dicom-web").strip("/")
    kinds = ("orthanc", "dicomweb") if table.get("kind") == "orthanc" else ("dicomweb", "orthanc")
    client = read_client_certificate(reader, where, table)
    return Site(
        # Its own id in logs, breaker and pool: it must not be taken for a site of that name.
        site_id="to:" + reader.text(table, where, "id", ""),
        name_ru=reader.text(table, where, "name_ru", ""),
        name_en=reader.text(table, where, "name_en", ""),
        url=url,
        kind=reader.choice(table, where, "server_kind", kinds),
        role="archive",
        dicomweb_root="" if root == "/" else root,
        username=reader.text(table, where, "username", ""),
        password=read_password(reader, where, table, read_secret),
        ca_file=reader.text(table, where, "ca_file", ""),
        client_certificate_file=client[0],
        client_key_file=client[1],
        timeouts=read_timeouts(reader, where, table.get("timeouts", {})),
        guarded=True,
    )


def _verify(
    reader: Reader,
    where: str,
    table: Mapping[str, Any],
    kind: Kind,
    modality: str,
    server: Site | None,
) -> tuple[Verify, ...]:
    """SET is part of each: nothing can be compared that is not there."""
    # C-STORE writes other file meta information, so that no MD5 would be equal.
    usual = ("SET", "FETCH") if kind == "dicom" else DEFAULT_VERIFY
    found = table.get("verify", ["SET"] if server is None else list(usual))
    names = [found] if isinstance(found, str) else found
    if not isinstance(names, list) or not names or not set(map(str, names)) <= set(VERIFY):
        reader.mistake(f"{where}: verify", "is no way to verify", "some of " + ", ".join(VERIFY))
        return DEFAULT_VERIFY
    if "COMMIT" in names and not modality:
        reader.mistake(f"{where}: verify", "has COMMIT without a modality", "modality beside it")
    if server is None and not {"SET", "COMMIT"}.issuperset(names):
        reader.mistake(f"{where}: verify", "needs an address to ask", "url or site beside modality")
    return tuple(policy for policy in VERIFY if policy == "SET" or policy in names)


def _limits(reader: Reader, where: str, table: Any, server: Site | None) -> Limits:
    if not isinstance(table, Mapping):
        reader.mistake(f"{where}: limits", "is not a table", "[destination.limits] and its keys")
        table = {}
    inside = f"{where} limits"
    reader.unknown_keys(inside, table, {f.name for f in fields(Limits)})
    windows = table.get("windows", [DAY])
    if not isinstance(windows, list) or not windows or not all(map(_is_window, windows)):
        reader.mistake(f"{inside}: windows", "is no list of time windows", '["20:00-06:00"]')
        windows = [DAY]
    zone = reader.text(table, inside, "time_zone", server.time_zone if server else "Europe/Moscow")
    try:
        ZoneInfo(zone)
    except (LookupError, ValueError, OSError):
        reader.mistake(f"{inside}: time_zone", "is no time zone", '"Asia/Yekaterinburg"')
    standard = Limits()
    return Limits(
        parallel=int(_number(reader, inside, table, "parallel", standard.parallel, 1, 64)),
        bytes_per_s=int(_number(reader, inside, table, "bytes_per_s", 0, 0, 10**11)),
        windows=tuple(windows),
        time_zone=zone,
        breaker_failures=int(
            _number(reader, inside, table, "breaker_failures", standard.breaker_failures, 1, 1000)
        ),
        breaker_s=_number(reader, inside, table, "breaker_s", standard.breaker_s, 1, 86_400),
    )


def _is_window(value: object) -> bool:
    return isinstance(value, str) and WINDOW.fullmatch(value) is not None


def _number(
    reader: Reader,
    where: str,
    table: Mapping[str, Any],
    key: str,
    default: float,
    least: float,
    most: float,
) -> float:
    value = table.get(key, default)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and least <= value <= most:
        return float(value)
    reader.mistake(f"{where}: {key}", "is no such number", f"from {least:g} to {most:g}")
    return default


def read_egress(reader: Reader, entries: Any) -> tuple[str, ...]:
    """Host names, "host:port", addresses and networks."""
    good = isinstance(entries, list) and all(isinstance(entry, str) for entry in entries)
    for entry in entries if good else ():
        name, _, port = entry.partition(":")
        is_host = _HOST.fullmatch(name) and (not port or port.isdecimal())
        good = good and (_network(entry) is not None or bool(is_host))
    if good:
        return tuple(entries)
    reader.mistake(
        "[region] egress",
        "is no list of hosts and networks",
        '["archive.region.example:443", "10.20.0.0/16"]',
    )
    return ()


def allowed(url: str, egress: Sequence[str]) -> bool:
    """Whether the operator allows to send to this address (trust.md H32).

    A name is allowed by its name only: what it resolves to may change.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return False
    host = (parts.hostname or "").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return any(entry.lower() in (host, f"{host}:{port}") for entry in egress)
    networks = [_network(entry) for entry in egress]
    return f"{host}:{port}" in egress or any(network and address in network for network in networks)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        return None
