"""The facts of a study that the index keeps, without a question to its site."""

from collections.abc import Mapping

import orjson

from gateway.dicom.attributes import DEFAULT_ATTRIBUTES, Level, text
from gateway.model.routing.facts import Arrival, Facts, gather_of_records
from gateway.model.routing.fields import ALREADY_AT
from gateway.model.sites import Site
from gateway.orthanc.asking import SERIES_FIELDS, STUDY_FIELDS
from gateway.records.held import HeldStudy

MODALITY, SIZE, REPORT = "00080060", "size_mb", "has_report"
REPORTS = frozenset({"SR", "DOC"})
ALWAYS_KNOWN = frozenset(
    {"site", "instance_count", "received_at.hour", "received_at.weekday", "received_at.holiday"}
)
# The index adds the issuer where the site's record names none (model/persons.py).
_COMPLETED = frozenset({"00100021"})
_OF_SERIES = frozenset(SERIES_FIELDS.split(",")) - {MODALITY}
_IN_INDEX: Mapping[str, frozenset[str]] = {
    # Asked for by name, an Orthanc tells what is empty from what is missing (measured, 1.10 and
    # 1.12); other servers need not give more than the standard wants.
    "orthanc": frozenset(STUDY_FIELDS.split(",") + SERIES_FIELDS.split(",")) - _COMPLETED,
    "dicomweb": frozenset(DEFAULT_ATTRIBUTES[Level.STUDY] + DEFAULT_ATTRIBUTES[Level.SERIES])
    - _COMPLETED,
}


class FromIndex:
    """Makes facts of the rows of one site.

    asked   what the rules ask for (rule_sets.fields_asked)
    unread  of that, what no row says; of a study it may be less
    wants_series  whether the rows of its series say something that its own does not
    """

    def __init__(self, site: Site, asked: frozenset[str]) -> None:
        self.unread = asked - ALWAYS_KNOWN - _IN_INDEX[site.kind]
        self.wants_series = bool(asked & _OF_SERIES)
        self._site = site
        self._asked = asked | {MODALITY}
        self._known_later = self.unread & {SIZE, REPORT}

    def facts(self, held: HeldStudy, already_at: frozenset[str] | None) -> Facts:
        """The facts of a study.

        already_at  destinations that hold all of it; None: not known
        """
        series = [
            (one.series_uid, one.instance_count, orjson.loads(one.record)) for one in held.series
        ]
        arrival = Arrival(
            self._site, held.changed_at or held.first_seen_at, size_bytes=held.size_bytes,
            already_at=already_at or frozenset(),
        )  # fmt: skip
        unread = self.unread
        if unread and already_at is not None:
            unread = frozenset(name for name in unread if not name.startswith(ALREADY_AT))
        if self._known_later:
            sized = held.size_bytes is not None
            told = any(text(one, MODALITY) in REPORTS for *_, one in series)
            unread -= ({SIZE} if sized else set()) | ({REPORT} if told else set())
        study = orjson.loads(held.record)
        return gather_of_records(arrival, study, series, held.instance_count, self._asked, unread)
