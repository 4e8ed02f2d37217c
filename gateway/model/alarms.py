"""What the gateway raises an alarm for, in the words that people read. Pure.

An alarm's subject and facts are UIDs and ids of ours, never a patient's data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

STUDY_OF_TWO_PATIENTS = "study_of_two_patients"
TORN_LINK = "torn_link"
REFUSED_CONTENT = "refused_other_content"
REFUSED_PATIENT = "refused_other_patient"
ANSWERS_OTHER = "site_answers_other"

CLOSED_BY_WORD = frozenset({REFUSED_CONTENT, REFUSED_PATIENT, ANSWERS_OTHER})
"""Kinds that no data clears: what was refused lies at its sender alone, and who answered for a site
nobody can see from here, so that a person must say that it is settled. The next cause raises a new
alarm. Subject: the study; of ANSWERS_OTHER the site."""

MEANING: Mapping[str, tuple[str, str]] = {
    STUDY_OF_TWO_PATIENTS: (
        "под одним StudyInstanceUID разные пациенты",
        "different patients under one StudyInstanceUID",
    ),
    TORN_LINK: (
        "подтверждённая связь номеров пациента стала невозможной",
        "a confirmed link between patient identifiers has become impossible",
    ),
    REFUSED_CONTENT: (
        "не сохранены снимки: такие UID уже лежат с другим содержимым",
        "images were refused: their UIDs are held with other content",
    ),
    REFUSED_PATIENT: (
        "не сохранены снимки: исследование лежит у другого пациента",
        "images were refused: the study is held, of another patient",
    ),
    ANSWERS_OTHER: (
        "площадка отдаёт не те снимки, о которых её спросили; они никому не показаны",
        "a site gives other images than it was asked for; nobody was shown them",
    ),
}
"""Kind -> (Russian, English)."""


@dataclass(frozen=True)
class Alarm:
    """One cause. There is at most one open alarm of a kind and subject.

    last_seen_at  when the cause was last seen; raised_at is when it was seen first
    cleared_at    None while it is open
    """

    kind: str
    subject: str
    facts: Mapping[str, Any]
    raised_at: datetime
    last_seen_at: datetime
    cleared_at: datetime | None
