"""Reads of a study what the rules ask for: of the index, and of its site only what decides.

Orthanc gives of a study or a series what the standard says is the same in all its instances; all
else is collected over every instance. A site that does not answer is asked again later: that is
never taken for an answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from gateway.dicom.attributes import Dataset
from gateway.dicom.names import repair
from gateway.errors import NotFound, SiteRefused, SiteSpeaksGarbage
from gateway.log import log
from gateway.model.routing import facts as of_routing
from gateway.model.routing.decide import decide
from gateway.model.routing.facts import Arrival, Facts
from gateway.model.routing.rule_sets import RuleSet, fields_asked
from gateway.model.sites import Site
from gateway.orthanc import feed
from gateway.orthanc.tags import Origin, read_origins, read_tags
from gateway.orthanc.wire import Wire
from gateway.records.engine import Records
from gateway.records.held import HeldStudy, load_held
from gateway.routing.from_index import MODALITY, FromIndex

SYNTAX, SIZE = "transfer_syntax", "size_mb"
ORIGIN = frozenset({"source_aet", "source_ip", SYNTAX})
SOP_CLASS, AVAILABLE_SYNTAX = "00080016", "00083002"
_TEXTS = frozenset({"PN", "LO", "SH", "ST", "LT", "UT", "UC"})


def gather(
    records: Records,
    wire: Wire,
    site: Site,
    study_uid: str,
    rule_sets: Sequence[RuleSet],
    now: datetime,
    *,
    already_at: frozenset[str] = frozenset(),
    whole: bool = False,
) -> Facts:
    """What these rules ask of a study at a site, over all its instances.

    now         the moment at which `decide` is asked with the result
    already_at  destinations that hold all of it, verified
    whole       everything that is named, for a person who asks why; else nothing that could not
                change the decision
    returns     facts; `unread` names what the site could not tell: rules that ask for it hold
    raises      NotFound if the index or the site does not have it; SiteError if the site may
                answer later
    """
    held = load_held(records, site.site_id, study_uid)
    if held is None:
        raise NotFound(f"study {study_uid} at {site.site_id}")
    asked = fields_asked(rule_sets)
    facts = FromIndex(site, asked).facts(held, already_at)
    if facts.unread and (whole or decide(rule_sets, facts, now).unread):
        return _ask(wire, site, held, asked, facts)
    return facts


def _ask(wire: Wire, site: Site, held: HeldStudy, asked: frozenset[str], facts: Facts) -> Facts:
    """The same with what the site says of every instance."""
    arrival, unread = facts.arrival, facts.unread
    is_orthanc = site.kind == "orthanc"
    try:
        if SIZE in unread and is_orthanc:
            sizes = feed.read_sizes(wire, site, held.orthanc_id)
            size_bytes = sum(series.size_bytes for series in sizes.values())
            arrival, unread = replace(arrival, size_bytes=size_bytes), unread - {SIZE}
        if ORIGIN & unread and is_orthanc:
            ways = list(read_origins(wire, site, held.study_uid))
            arrival, unread = _with_origins(arrival, ways), unread - ORIGIN
        beside = ORIGIN | {SIZE}
        if unread - (beside - {SYNTAX}):
            return _of_instances(wire, site, held, asked, arrival, unread & beside)
    except SiteSpeaksGarbage as error:
        # It would say so again: what stays unread holds the study until a person has looked.
        log.warning("instances cannot be read", site=site.site_id, study=held.study_uid,
                    problem=str(error))  # fmt: skip
    except SiteRefused as error:
        if error.status == 404:
            raise NotFound(f"study {held.study_uid} at {site.site_id}") from error
        raise
    return _replaced(facts, arrival, unread)


def _with_origins(arrival: Arrival, ways: Sequence[Origin]) -> Arrival:
    aets, addresses, syntaxes = (
        tuple(sorted({value for way in ways if (value := getattr(way, name))}))
        for name in ("source_aet", "source_ip", "transfer_syntax")
    )
    return replace(arrival, source_aets=aets, source_ips=addresses, transfer_syntaxes=syntaxes)


def _of_instances(
    wire: Wire,
    site: Site,
    held: HeldStudy,
    asked: frozenset[str],
    arrival: Arrival,
    unread: frozenset[str],
) -> Facts:
    """Facts of the datasets of all instances.

    unread  of the arrival, what nobody can say
    """
    garbled = False

    def instances() -> Iterator[Dataset]:
        nonlocal garbled
        for one in held.series:
            for instance in read_tags(wire, site, held.study_uid, one.series_uid):
                read = repair(instance)
                garbled = garbled or read is not instance or _is_garbled(instance)
                yield read

    kept = asked | {MODALITY, SOP_CLASS, AVAILABLE_SYNTAX}
    facts = of_routing.gather(arrival, instances(), kept, unread)
    syntaxes = facts.values.get(AVAILABLE_SYNTAX, ())
    if SYNTAX in unread and syntaxes:
        arrival, unread = replace(arrival, transfer_syntaxes=syntaxes), unread - {SYNTAX}
    return _replaced(
        facts, replace(arrival, charset_ok=not garbled), facts.unread - {SYNTAX} | unread
    )


def _is_garbled(instance: Dataset) -> bool:
    """Whether a text lost letters on its way: those for which no reading was found, or all letters
    of a name, as Orthanc leaves it (orthanc/study_records.py)."""
    for element in instance.values():
        for value in element.get("Value") or () if element.get("vr") in _TEXTS else ():
            said = "=".join(map(str, value.values())) if isinstance(value, dict) else str(value)
            if "\ufffd" in said or (said and not said.strip("^= ")):
                return True
    return False


def _replaced(facts: Facts, arrival: Arrival, unread: frozenset[str]) -> Facts:
    series = tuple(replace(one, arrival=arrival, unread=unread) for one in facts.series)
    return replace(facts, arrival=arrival, unread=unread, series=series)
