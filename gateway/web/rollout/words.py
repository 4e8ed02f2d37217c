"""What the evidence of units is called on pages and in files, beside the words of the register."""

from collections.abc import Mapping

from gateway.model.rollout.figures import Evidence
from gateway.model.rollout.words import CAPTURES, FACILITY_KINDS, STATES, UNIT_KINDS
from gateway.model.wording import Words

__all__ = [
    "CAPTURES",
    "EVIDENCE",
    "FACILITY_KINDS",
    "MARKS",
    "MEANINGS",
    "STATES",
    "UNIT_KINDS",
]

EVIDENCE: Mapping[Evidence, Words] = {
    Evidence.PROVEN: Words("подтверждён", "proven"),
    Evidence.SILENT: Words("молчит", "silent"),
    Evidence.NEVER: Words("снимков не было", "never seen"),
    Evidence.UNDECLARED: Words("не заявлен", "undeclared"),
    Evidence.ANALOGUE: Words("плёночный", "film"),
}
MEANINGS: Mapping[Evidence, Words] = {
    Evidence.PROVEN: Words(
        "заявлен цифровым, снимки за последние 30 дней есть",
        "declared digital, images in the last 30 days",
    ),
    Evidence.SILENT: Words(
        "заявлен цифровым, снимков нет больше 30 дней",
        "declared digital, no image for more than 30 days",
    ),
    Evidence.NEVER: Words(
        "заявлен цифровым, ни одного снимка за всё время",
        "declared digital, not one image ever",
    ),
    Evidence.UNDECLARED: Words(
        "заявлен плёночным, а снимки приходят", "declared film, yet images arrive"
    ),
    Evidence.ANALOGUE: Words("заявлен плёночным, снимков нет", "declared film, no images"),
}
MARKS: Mapping[Evidence, str] = {
    Evidence.PROVEN: "●",
    Evidence.SILENT: "◐",
    Evidence.NEVER: "▲",
    Evidence.UNDECLARED: "◆",
    Evidence.ANALOGUE: "○",
}
"""Beside every colour, so that no colour says anything alone."""
