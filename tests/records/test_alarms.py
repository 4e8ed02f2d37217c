"""Alarms: one open row for each cause; some wait for a person's word."""

from datetime import UTC, datetime, timedelta

from gateway.model.alarms import REFUSED_CONTENT, REFUSED_PATIENT, STUDY_OF_TWO_PATIENTS
from gateway.records.alarms import close_alarms, load_alarms, write_alarm

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def write(records, kind, subject="1.2.3", now=NOW):
    with records.write() as connection:
        return write_alarm(connection, kind, subject, {"refused": 1}, now)


def open_kinds(records):
    return sorted((alarm.kind, alarm.subject) for alarm in load_alarms(records))


def test_a_word_closes_what_was_refused_of_a_study_and_tells_who_said_it(records):
    write(records, REFUSED_CONTENT)
    write(records, REFUSED_PATIENT)
    write(records, REFUSED_PATIENT, "1.2.4")
    assert close_alarms(records, "1.2.3", "doctor", LATER)
    assert open_kinds(records) == [(REFUSED_PATIENT, "1.2.4")]
    ended = [alarm for alarm in load_alarms(records, cleared=True) if alarm.cleared_at]
    facts = {"refused": 1, "closed_by": "doctor"}
    assert [(alarm.facts, alarm.cleared_at) for alarm in ended] == [(facts, LATER)] * 2


def test_the_next_refusal_after_a_word_is_a_new_alarm(records):
    assert (write(records, REFUSED_CONTENT), write(records, REFUSED_CONTENT, now=LATER)) == (
        True,
        False,
    )
    assert close_alarms(records, "1.2.3", "doctor", LATER)
    assert not close_alarms(records, "1.2.3", "doctor", LATER)
    assert write(records, REFUSED_CONTENT, now=LATER)
    assert len(load_alarms(records, cleared=True)) == 2


def test_a_word_does_not_close_what_goes_with_its_cause(records):
    write(records, STUDY_OF_TWO_PATIENTS)
    assert not close_alarms(records, "1.2.3", "doctor", LATER)
    assert open_kinds(records) == [(STUDY_OF_TWO_PATIENTS, "1.2.3")]
