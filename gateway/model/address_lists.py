"""Who is told of alarms, and of studies that a rule names them for: `[[notify]]` of region.toml.

A webhook lies within `[region] egress`, as every destination does: whatever leaves the gateway goes
only to where its operator allows (trust.md H32). Pure.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import SettingsError
from gateway.model.destinations import allowed, read_egress
from gateway.model.reading_region import Reader, ReadSecret, read_secret_of
from gateway.model.sites import SITE_ID, Region, Secret, Site, Timeouts

KEY_LENGTH = 16
MOST_ADDRESSES = 50
KEYS = {"id", "mail", "alarms", "webhook", "webhook_key_file", "webhook_key_env", "ca_file"}
# What a mail server takes without quoting: no blank, no line end, nothing that ends an address.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII)


@dataclass(frozen=True)
class AddressList:
    """Some people, and perhaps a program.

    mail     addresses; each mail goes to all of them
    webhook  how the program is reached, guarded as a destination is; None: there is none
    key      what the messages to it are signed with (model/events.py)
    alarms   every alarm is told here; rules may name the list either way
    """

    list_id: str
    mail: tuple[str, ...] = ()
    webhook: Site | None = None
    key: Secret = Secret("")
    alarms: bool = False


def with_address_lists(
    region: Region, document: Mapping[str, Any], read_secret: ReadSecret
) -> Region:
    """The region with its `[[notify]]` tables.

    raises  SettingsError with every mistake, as parse_region
    """
    reader = Reader()
    tables = document.get("notify", [])
    if not isinstance(tables, list):
        reader.mistake("[[notify]]", "is no list of tables", "[[notify]] for each")
        tables = []
    # What is wrong with `egress` was told with the destinations.
    egress = read_egress(Reader(), document["region"].get("egress", []))
    lists = [_parse(reader, n, table, egress, read_secret) for n, table in enumerate(tables, 1)]
    ids = [one.list_id for one in lists]
    for n, list_id in enumerate(ids, 1):
        if list_id and ids.count(list_id) > 1:
            reader.mistake(f"[[notify]] {n}: id", f'"{list_id}" is used twice', "another id")
    if reader.mistakes:
        raise SettingsError(reader.mistakes)
    return replace(region, address_lists=tuple(lists))


def _parse(
    reader: Reader, n: int, table: Any, egress: Sequence[str], read_secret: ReadSecret
) -> AddressList:
    where = f"[[notify]] {n}"
    if not isinstance(table, Mapping):
        reader.mistake(where, "is not a table", "[[notify]] and its keys")
        table = {}
    where += f" ({table['id']})" if isinstance(table.get("id"), str) else ""
    reader.unknown_keys(where, table, KEYS)
    list_id = reader.text(table, where, "id", required=True)
    if list_id and not SITE_ID.fullmatch(list_id):
        reader.mistake(f"{where}: id", "has letters that an id may not have", '"duty"')
    key = read_secret_of(reader, where, table, "webhook_key", read_secret)
    found = AddressList(
        list_id,
        mail=_addresses(reader, where, table.get("mail", [])),
        webhook=_webhook(reader, where, table, egress),
        key=key,
        alarms=reader.flag(table, where, "alarms"),
    )
    if found.webhook is not None and len(key) < KEY_LENGTH:
        reader.mistake(
            f"{where}: webhook_key_file", "is missing or too short",
            f"a file with a key of at least {KEY_LENGTH} letters",
        )  # fmt: skip
    if not found.mail and found.webhook is None:
        reader.mistake(where, "reaches nobody", 'mail = ["duty@region.example"] or webhook')
    return found


def _addresses(reader: Reader, where: str, entries: Any) -> tuple[str, ...]:
    good = isinstance(entries, list) and len(entries) <= MOST_ADDRESSES
    if good and all(isinstance(one, str) and _ADDRESS.fullmatch(one) for one in entries):
        return tuple(entries)
    reader.mistake(f"{where}: mail", "is no list of addresses", '["duty@region.example"]')
    return ()


def _webhook(
    reader: Reader, where: str, table: Mapping[str, Any], egress: Sequence[str]
) -> Site | None:
    url = reader.text(table, where, "webhook", "").rstrip("/")
    if not url:
        return None
    reader.check_url(where, url)
    if not allowed(url, egress):
        reader.mistake(
            f"{where}: webhook",
            "lies outside of what the operator allows",
            "its host into [region] egress, if messages may go there",
        )
    list_id = reader.text(table, where, "id", "")
    return Site(
        site_id=f"notify:{list_id}", name_ru=list_id, name_en=list_id, url=url, kind="webhook",
        dicomweb_root="", ca_file=reader.text(table, where, "ca_file", ""),
        timeouts=Timeouts(connect_s=5.0), guarded=True,
    )  # fmt: skip
