"""What rules say of a study before they count, or why it went: for terminal and console.


Nothing is stored or sent. Values that were compared are shown to the person who asks; they are
never logged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO

import pydicom
from pydicom.errors import InvalidDicomError

from gateway.dicom.attributes import Dataset
from gateway.dicom.part10 import MoreBytesNeeded, NotUnderstood, identify
from gateway.model.routing.decide import Decision, RuleTrace, decide, explain
from gateway.model.routing.facts import Arrival, Facts
from gateway.model.routing.facts import gather as gather_of_files
from gateway.model.routing.rule_sets import MINISTRY, RuleSet
from gateway.model.sites import Site
from gateway.orthanc.wire import Wire
from gateway.records.deliveries import load_delivered
from gateway.records.engine import Records
from gateway.records.rules import active_versions
from gateway.routing.gather import gather
from gateway.routing.replay import Trial

_HEAD = 1 << 20
# A file does not say how it will come: what a rule asks of that is told as not read.
_NOT_IN_FILES = frozenset({"source_aet", "source_ip", "transfer_syntax", "size_mb", "charset_ok"})


@dataclass(frozen=True)
class Tried:
    """What rules say of one study: each rule with its conditions, and what follows."""

    traces: tuple[RuleTrace, ...]
    decision: Decision


def active_rules(records: Records, site_id: str, now: datetime) -> list[RuleSet]:
    """The ministry's active rules, then the hospital's; what there is of them."""
    return [version.rule_set for version in active_versions(records, site_id, now)]


def with_tried(active: Sequence[RuleSet], tried: RuleSet) -> list[RuleSet]:
    """The active rules with their owner's replaced by these."""
    rest = [rule_set for rule_set in active if rule_set.owner != tried.owner]
    return [tried, *rest] if tried.owner == MINISTRY else [*rest, tried]


def trials_of(
    records: Records, sites: Sequence[Site], tried: RuleSet, now: datetime
) -> list[Trial]:
    """What to replay: at the owner's site, or at every one if the ministry's rules are tried."""
    mine = [site for site in sites if tried.owner in (MINISTRY, site.site_id)]
    actives = [active_rules(records, site.site_id, now) for site in mine]
    return [
        Trial(site, active, with_tried(active, tried))
        for site, active in zip(mine, actives, strict=True)
    ]


def judge(rule_sets: Sequence[RuleSet], facts: Facts, now: datetime) -> Tried:
    """Every rule with its conditions, then what follows from them."""
    return Tried(explain(rule_sets, facts, now), decide(rule_sets, facts, now))


def facts_of_site(
    records: Records, wire: Wire, site: Site, study_uid: str, rule_sets: Sequence[RuleSet],
    now: datetime,
) -> Facts:  # fmt: skip
    """Of a study that the site holds, everything that these rules name.

    raises  NotFound if the index or the site does not have it; SiteError if the site may answer
            later
    """
    already_at = load_delivered(records, site.site_id, study_uid)
    return gather(records, wire, site, study_uid, rule_sets, now, already_at=already_at, whole=True)


def facts_of_files(site: Site, instances: Iterable[Dataset], now: datetime) -> Facts:
    """Of instances of one study, as if they had come to this site now."""
    facts = gather_of_files(Arrival(site, now), instances)
    return replace(facts, unread=facts.unread | _NOT_IN_FILES)


def read_head(file: BinaryIO) -> Dataset:
    """A file's attributes without its pixels, as DICOM JSON; element by element, since real ones
    hold values that do not convert.

    raises  NotUnderstood if it is no DICOM file that can be read, or is deflated: that may unpack
            into gigabytes before one attribute is known (routing.md E25)
    """
    try:
        identify(file.read(_HEAD), whole=False)
        file.seek(0)
        read = pydicom.dcmread(file, stop_before_pixels=True)
    except (MoreBytesNeeded, InvalidDicomError, ValueError, OSError, RecursionError) as error:
        raise NotUnderstood(f"cannot be read: {type(error).__name__}") from error
    made: Dataset = {}
    for element in read:
        tag = f"{element.tag:08X}"
        try:
            made[tag] = element.to_json_dict(None, 1024)
        except (ValueError, TypeError, OverflowError, AttributeError):
            # Present, and nothing that can be compared: model/routing/facts.py reads it so.
            made[tag] = {"vr": str(element.VR), "InlineBinary": ""}
    return made
