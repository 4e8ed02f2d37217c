"""What persons say of senders: whose images they are, whose they are not, and which are nobody's.

Each act is kept with its author and can be taken back; every figure follows at once, of past days
too. Whether somebody may do it at that facility is the door's to ask.
"""

from dataclasses import replace
from datetime import datetime

from gateway.errors import BadRequest, NotFound
from gateway.model.credentials import new_id
from gateway.model.rollout.likeness import normal
from gateway.model.rollout.matching import WEIGHT, fits
from gateway.model.rollout.senders import Fingerprint, Sender, cleaned
from gateway.records.engine import Records
from gateway.records.evidence import load_sender
from gateway.records.fingerprints import (
    Ignored,
    Origin,
    Said,
    load_fingerprints,
    save_fingerprint,
    save_ignored,
    undo_fingerprint,
    undo_ignored,
)

LONGEST_REASON = 200


def accept(
    records: Records, sender_id: int, unit_id: str, *, author: str, now: datetime, reason: str = ""
) -> str:
    """These images are the unit's; the id of the fingerprint.

    Of a sender that tells its serial number also those whose station or institution will be called
    something else one day, unless that leaves it open between two units.

    raises  NotFound if there is no such sender
    """
    said = _sender(records, sender_id)
    whole = Fingerprint(new_id(), unit_id, **vars(said))
    others = (
        one
        for one in load_fingerprints(records)
        if one.unit_id != unit_id and fits(one, said) is not None
    )
    is_plain = normal("serial", said.serial) and not any(others)
    made = replace(whole, station="", institution="") if is_plain else whole
    return _save(records, made, Origin.SUGGESTION, author, reason, now)


def deny(
    records: Records, sender_id: int, unit_id: str, *, author: str, now: datetime, reason: str = ""
) -> str:
    """These images are not the unit's, whatever the register or a fingerprint says; raises as
    accept."""
    said = _sender(records, sender_id)
    made = Fingerprint(new_id(), unit_id, **vars(said), is_not=True)
    return _save(records, made, Origin.HAND, author, reason, now)


def set_fingerprint(
    records: Records, fingerprint: Fingerprint, *, author: str, now: datetime, reason: str = ""
) -> str:
    """Images that say this are the unit's; its id (a new one, whatever it is called).

    raises  BadRequest if it says nothing of a machine
    """
    texts = {field: cleaned(getattr(fingerprint, field)) for field in WEIGHT}
    if not any(said for field, said in texts.items() if field != "site_id"):
        raise BadRequest("fingerprint", "names nothing of a machine")
    made = Fingerprint(new_id(), fingerprint.unit_id, **texts, is_not=fingerprint.is_not)
    return _save(records, made, Origin.HAND, author, reason, now)


def undo(records: Records, fingerprint_id: str, *, author: str, now: datetime) -> None:
    """It was wrong. raises NotFound if there is no such fingerprint, or no longer"""
    if not undo_fingerprint(records, fingerprint_id, author, now):
        raise NotFound("the fingerprint")


def ignore(records: Records, sender_id: int, *, author: str, reason: str, now: datetime) -> None:
    """These images are of no machine that the register should have: a phantom, a test.

    raises  NotFound if there is no such sender; BadRequest without a reason
    """
    _sender(records, sender_id)
    why = _one_line(reason)
    if not why:
        raise BadRequest("reason", "is missing: why should nobody miss a unit for this sender?")
    save_ignored(records, Ignored(sender_id, author, why, now))


def heed(records: Records, sender_id: int, *, author: str, now: datetime) -> None:
    """A sender is ignored no longer. raises NotFound if it was not"""
    if not undo_ignored(records, sender_id, author, now):
        raise NotFound("the ignored sender")


def _sender(records: Records, sender_id: int) -> Sender:
    found = load_sender(records, sender_id)
    if found is None:
        raise NotFound("the sender")
    return found


def _save(
    records: Records, made: Fingerprint, origin: Origin, author: str, reason: str, now: datetime
) -> str:
    return save_fingerprint(records, Said(made, origin, author, _one_line(reason), now))


def _one_line(reason: str) -> str:
    return " ".join(reason.split())[:LONGEST_REASON]
