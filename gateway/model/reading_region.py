"""Read region.toml: which sites there are, every mistake told at once. Pure: takes a dict, no file.

Its destinations are read by destinations.py, with the same Reader.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from gateway.errors import SettingsError
from gateway.model.sites import (
    AE_TITLE,
    RISKS,
    SITE_ID,
    WINDOW,
    Network,
    Region,
    Secret,
    Site,
    Timeouts,
)

EVENT_KEY_LENGTH = 16

ReadSecret = Callable[[str, str], str]
"""(kind, reference) -> secret; kind is "file" or "env"; raises LookupError with a sentence."""


def parse_region(document: Mapping[str, Any], read_secret: ReadSecret) -> Region:
    """Turn the parsed region.toml into a Region, without its destinations (destinations.py).

    raises  SettingsError with every mistake: where it is, what is wrong, what to write instead
    """
    reader = Reader()
    head = reader.table(document, "region")
    reader.unknown_keys(
        "top level", document, {"region", "site", "destination", "notify", "identity"}
    )
    reader.unknown_keys("[region]", head, {"name_ru", "name_en", "home_site", "egress"})
    tables = document.get("site")
    if not isinstance(tables, list) or not tables:
        reader.mistake("[[site]]", "no site is listed", "at least one [[site]] table")
        tables = []
    sites = tuple(_parse_site(reader, n, table, read_secret) for n, table in enumerate(tables, 1))
    ids = [site.site_id for site in sites]
    for n, site in enumerate(sites, 1):
        if ids.count(site.site_id) > 1:
            reader.mistake(
                f"[[site]] {n}: id", f'"{site.site_id}" is used twice', "another id for each site"
            )
    home = reader.text(head, "[region]", "home_site", ids[0] if ids else "")
    if ids and home not in ids:
        reader.mistake("[region] home_site", f'no site has the id "{home}"', f"one of {ids}")
    region = Region(
        name_ru=reader.text(head, "[region]", "name_ru", required=True),
        name_en=reader.text(head, "[region]", "name_en", required=True),
        home_site=home,
        sites=sites,
    )
    if reader.mistakes:
        raise SettingsError(reader.mistakes)
    return region


_SITE_KEYS = {f.name for f in fields(Site)} - {"site_id", "password", "event_key", "guarded"} | {
    "id",
    "password_file",
    "password_env",
    "event_key_file",
    "event_key_env",
}


def _parse_site(reader: "Reader", n: int, table: Any, read_secret: ReadSecret) -> Site:
    if not isinstance(table, Mapping):
        reader.mistake(f"[[site]] {n}", "is not a table", "[[site]] and its keys below it")
        table = {}
    where = f"[[site]] {n}" + (f" ({table['id']})" if isinstance(table.get("id"), str) else "")
    reader.unknown_keys(where, table, _SITE_KEYS)
    site_id = reader.text(table, where, "id", required=True)
    if site_id and not SITE_ID.fullmatch(site_id):
        reader.mistake(
            f"{where}: id",
            "has letters that an id may not have",
            'small Latin letters, digits and "-", at most 32, like "north"',
        )
    url = reader.text(table, where, "url", required=True).rstrip("/")
    reader.check_url(where, url)
    root = "/" + reader.text(table, where, "dicomweb_root", "/dicom-web").strip("/")
    zone = reader.text(table, where, "time_zone", "Europe/Moscow")
    try:
        ZoneInfo(zone)
    except (LookupError, ValueError, OSError):
        reader.mistake(f"{where}: time_zone", "is no time zone", '"Asia/Yekaterinburg"')
    ae_title = reader.text(table, where, "ae_title", site_id.upper()[:16])
    if ae_title and not AE_TITLE.fullmatch(ae_title):
        reader.mistake(f"{where}: ae_title", "is no AE title", "1 to 16 Latin letters or digits")
    window = reader.text(table, where, "window", "00:00-24:00")
    if not WINDOW.fullmatch(window):
        reader.mistake(f"{where}: window", "is no time window", '"20:00-06:00"')
    role = reader.choice(table, where, "role", ("hospital", "archive"))
    client = read_client_certificate(reader, where, table)
    return Site(
        site_id=site_id,
        name_ru=reader.text(table, where, "name_ru", required=True),
        name_en=reader.text(table, where, "name_en", required=True),
        url=url,
        kind=reader.choice(table, where, "kind", ("orthanc", "dicomweb")),
        role=role,
        dicomweb_root="" if root == "/" else root,
        username=reader.text(table, where, "username", ""),
        password=read_password(reader, where, table, read_secret),
        event_key=_event_key(reader, where, table, read_secret),
        ca_file=reader.text(table, where, "ca_file", ""),
        client_certificate_file=client[0],
        client_key_file=client[1],
        addresses=_addresses(reader, where, table),
        time_zone=zone,
        # An archive keeps the identifiers of others.
        patient_id_issuer=reader.text(
            table, where, "patient_id_issuer", "" if role == "archive" else site_id.upper()
        ),
        ae_title=ae_title,
        window=window,
        cache=reader.flag(table, where, "cache"),
        recycles_gb=reader.count(table, where, "recycles_gb"),
        recycles_patients=reader.count(table, where, "recycles_patients"),
        signed=_signed(reader, where, table),
        timeouts=read_timeouts(reader, where, table.get("timeouts", {})),
    )


def _signed(reader: "Reader", where: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    listed = table.get("signed", [])
    if not isinstance(listed, list) or not all(one in RISKS for one in listed):
        reader.mistake(f"{where}: signed", "names what is no risk", f"a list of {', '.join(RISKS)}")
        return ()
    return tuple(listed)


def read_client_certificate(
    reader: "Reader", where: str, table: Mapping[str, Any]
) -> tuple[str, str]:
    """(certificate, key): both files or none."""
    names = ("client_certificate_file", "client_key_file")
    certificate, key = (reader.text(table, where, name, "") for name in names)
    if bool(certificate) != bool(key):
        reader.mistake(f"{where}: {names[0]}", f"stands without {names[1]}, or that alone", "both")
    return certificate, key


def _addresses(reader: "Reader", where: str, table: Mapping[str, Any]) -> tuple[Network, ...]:
    listed = table.get("addresses", [])
    try:
        if not isinstance(listed, list):
            raise ValueError
        return tuple(ipaddress.ip_network(str(one)) for one in listed)
    except ValueError:
        reader.mistake(f"{where}: addresses", "are no networks", '["10.20.0.0/16", "10.30.0.5"]')
        return ()


def read_password(
    reader: "Reader", where: str, table: Mapping[str, Any], read_secret: ReadSecret
) -> Secret:
    if table.get("username") and not {"password_file", "password_env"} & set(table):
        reader.mistake(
            f"{where}: password_file",
            "is missing beside username",
            '"secrets/SITE" or password_env',
        )
    return read_secret_of(reader, where, table, "password", read_secret)


def _event_key(
    reader: "Reader", where: str, table: Mapping[str, Any], read_secret: ReadSecret
) -> Secret:
    key = read_secret_of(reader, where, table, "event_key", read_secret)
    if key and len(key) < EVENT_KEY_LENGTH:
        reader.mistake(
            f"{where}: event_key", "is too short", f"a key of at least {EVENT_KEY_LENGTH} letters"
        )
    return key


def read_secret_of(
    reader: "Reader", where: str, table: Mapping[str, Any], name: str, read_secret: ReadSecret
) -> Secret:
    given = [(kind, f"{name}_{kind}") for kind in ("file", "env") if f"{name}_{kind}" in table]
    if len(given) > 1:
        reader.mistake(f"{where}: {name}_env", f"stands beside {name}_file", "one of the two")
    for kind, key in given[:1]:
        try:
            return Secret(read_secret(kind, reader.text(table, where, key)))
        except LookupError as error:
            reader.mistake(f"{where}: {key}", str(error.args[0]), "one that the gateway can read")
    return Secret("")


def read_timeouts(reader: "Reader", where: str, table: Any) -> Timeouts:
    if not isinstance(table, Mapping):
        reader.mistake(f"{where}: timeouts", "is not a table", "[site.timeouts] and its keys")
        return Timeouts()
    names = {f.name for f in fields(Timeouts)}
    reader.unknown_keys(f"{where} timeouts", table, names)
    values: dict[str, float] = {}
    for name in names & set(table):
        value = table[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and 0 < value <= 3600:
            values[name] = float(value)
        else:
            reader.mistake(f"{where}: timeouts.{name}", "is no span", "seconds, above 0 to 3600")
    return Timeouts(**values)


class Reader:
    """Reads tables and collects mistakes, so that all of them are told at once."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def mistake(self, where: str, problem: str, instead: str) -> None:
        self.mistakes.append(f"{where} {problem}; write {instead}")

    def table(self, document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = document.get(key)
        if isinstance(value, Mapping):
            return value
        self.mistake(f"[{key}]", "is missing", f"a table [{key}]")
        return {}

    def unknown_keys(self, where: str, table: Mapping[str, Any], known: set[str]) -> None:
        for key in sorted(set(table) - known):
            self.mistake(f"{where}: {key}", "is no known key", "one of " + ", ".join(sorted(known)))

    def text(
        self,
        table: Mapping[str, Any],
        where: str,
        key: str,
        default: str = "",
        *,
        required: bool = False,
    ) -> str:
        value = table.get(key)
        if value is None:
            if required:
                self.mistake(f"{where}: {key}", "is missing", f'{key} = "..."')
            return default
        if not isinstance(value, str) or (required and not value.strip()):
            self.mistake(f"{where}: {key}", "is not a text", f'{key} = "..."')
            return default
        return value

    def flag(self, table: Mapping[str, Any], where: str, key: str) -> bool:
        value = table.get(key, False)
        if not isinstance(value, bool):
            self.mistake(f"{where}: {key}", "is neither true nor false", f"{key} = true")
        return value is True

    def count(self, table: Mapping[str, Any], where: str, key: str) -> int:
        value = table.get(key, 0)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**9:
            return value
        self.mistake(f"{where}: {key}", "is no such number", f"{key} = 500")
        return 0

    def choice(
        self, table: Mapping[str, Any], where: str, key: str, allowed: tuple[str, ...]
    ) -> Any:
        value = self.text(table, where, key, allowed[0])
        if value not in allowed:
            self.mistake(f"{where}: {key}", "is not one of the choices", " or ".join(allowed))
            return allowed[0]
        return value

    def check_url(self, where: str, url: str) -> None:
        if not url:
            return
        try:
            parts = urlsplit(url)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname)
            fine = fine and (parts.port is None or parts.port > 0)
            fine = fine and not (parts.query or parts.fragment)
            inside = "@" in parts.netloc
        except ValueError:
            fine, inside = False, False
        if inside:
            self.mistake(f"{where}: url", "holds a password", "username and password_file instead")
        elif not fine:
            self.mistake(f"{where}: url", "is no http(s) address", '"https://pacs.hospital:8042"')
