"""Tells people what they are to be told: alarms and studies, by mail and by webhook.

Whoever does not take a message gets the same one again, later and ever more slowly; what comes
meanwhile gathers into the next. Nothing here waits longer than a few seconds, and one list's
silence holds up no other for longer than that.
"""

from collections.abc import Mapping
from datetime import datetime

import orjson

from gateway.clock import Deadline, utc_now
from gateway.errors import MailUnavailable, SiteError, SiteRefused
from gateway.log import log
from gateway.mail import Mail, send_mail
from gateway.model.address_lists import AddressList
from gateway.model.events import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign_event
from gateway.model.notices import Message, body_text, document, grouped, subject_line
from gateway.model.sites import Region
from gateway.model.wording import Words
from gateway.orthanc.wire import Wire
from gateway.records.engine import Records
from gateway.records.leases import Fence
from gateway.records.notices import (
    Bundle,
    Way,
    drop_unreachable,
    load_unsent,
    next_bundle,
    note_alarms,
    save_failed,
    save_sent,
)
from gateway.settings import Settings

REST_S = 30.0
"""After a message the next one of a list waits so long: ten alarms at once are two mails."""
WEBHOOK_S = 10.0
MESSAGE_HEADER = "X-Gateway-Message"
ANSWER_LIMIT = 64 * 1024


def ways_of(one: AddressList, settings: Settings) -> tuple[Way, ...]:
    """How a list is reached."""
    mail: tuple[Way, ...] = ("mail",) if one.mail and settings.mail_from else ()
    return (*mail, "webhook") if one.webhook else mail


def tell(
    records: Records, region: Region, settings: Settings, wire: Wire, now: datetime,
    fence: Fence | None = None,
) -> int:  # fmt: skip
    """One round: note what has happened to alarms, and try every message that is due.

    returns  how many messages were taken
    raises   LeaseLost if another keeper leads; RecordsUnavailable
    """
    lists = {one.list_id: one for one in region.address_lists}
    told = {
        (one.list_id, way) for one in lists.values() if one.alarms for way in ways_of(one, settings)
    }
    note_alarms(records, told, now, fence)
    taken = 0
    for list_id, way in sorted(load_unsent(records)):
        known = lists.get(list_id)
        if known is None:
            continue  # an alarm tells (invariants.py); it may come back
        if way not in ways_of(known, settings):
            drop_unreachable(records, list_id, way)
            continue
        bundle = next_bundle(records, list_id, way, now, REST_S, fence)
        if bundle is not None:
            taken += _try(records, region, settings, wire, known, bundle)
    return taken


def _try(
    records: Records, region: Region, settings: Settings, wire: Wire, to: AddressList,
    bundle: Bundle,
) -> bool:  # fmt: skip
    names = Words(region.name_ru, region.name_en)
    message = Message(bundle.message_id, names, settings.base_url, grouped(bundle.notices))
    facts = {"list": bundle.list_id, "way": bundle.way, "notices": len(bundle.notices)}
    try:
        if bundle.way == "mail":
            _mail(settings, to, message)
        else:
            _post(wire, to, message)
    except (MailUnavailable, SiteError) as error:
        reason = f"mail_{error.code}" if isinstance(error, MailUnavailable) else error.code
        save_failed(records, bundle, reason, utc_now())
        log.warning("people are not told, tried again", problem=str(error), **facts)
        return False
    save_sent(records, bundle, utc_now())
    log.info("people are told", **facts)
    return True


def _mail(settings: Settings, to: AddressList, message: Message) -> None:
    mail = Mail(message.message_id, to.mail, subject_line(message), body_text(message))
    if refused := send_mail(settings, mail):
        # The others have it: a second try would be a second mail to them.
        log.error("addresses are not taken", list=to.list_id, count=len(refused))


def _post(wire: Wire, to: AddressList, message: Message) -> None:
    """raises SiteError for anything but a 2xx, redirects among them"""
    assert to.webhook is not None  # noqa: S101 - the caller looked
    body = orjson.dumps(document(message))
    timestamp = str(int(utc_now().timestamp()))
    headers: Mapping[str, str] = {
        "Content-Type": "application/json",
        MESSAGE_HEADER: message.message_id,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: sign_event(to.key, timestamp, body),
    }
    target = "" if to.webhook.url.count("/") > 2 else "/"
    deadline = Deadline(WEBHOOK_S)
    with wire.open(
        to.webhook, "POST", target, deadline=deadline, headers=tuple(headers.items()), body=body
    ) as answer:
        answer.read_all(ANSWER_LIMIT)
        if not 200 <= answer.status < 300:
            raise SiteRefused(to.webhook.site_id, answer.status)
