"""The one order of all answers: same question, same order (PS3.18 8.3.4.4). Pure."""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from gateway.dicom.attributes import Dataset, Level, integer, text
from gateway.dicom.matching import span_of_key

LONGEST_MOMENT = 26  # PS3.5 6.2: DT


def sort_key(level: Level, dataset: Dataset) -> tuple[Any, ...]:
    """Key of the one order of all answers.

    Newest study first, then the study's UID; inside it the series by number and UID; inside these
    the instances. Dates, times and numbers that are absent or dirty come last in their rank.
    """
    key = [
        _newest_first("DA", text(dataset, "StudyDate")),
        _newest_first("TM", text(dataset, "StudyTime")),
        text(dataset, "StudyInstanceUID"),
    ]
    if level is not Level.STUDY:
        key += [_smallest_first(dataset, "SeriesNumber"), text(dataset, "SeriesInstanceUID")]
    if level is Level.INSTANCE:
        key += [_smallest_first(dataset, "InstanceNumber"), text(dataset, "SOPInstanceUID")]
    return tuple(key)


def _newest_first(vr: str, value: str) -> tuple[int, int]:
    return _place_of(vr, value) if len(value) <= LONGEST_MOMENT else (1, 0)


@lru_cache(maxsize=16384)  # a search sorts thousands of rows, and their days repeat
def _place_of(vr: str, value: str) -> tuple[int, int]:
    span = None if "-" in value else span_of_key(vr, value)
    return (1, 0) if span is None else (0, (datetime.min - span[0]) // timedelta(microseconds=1))


def _smallest_first(dataset: Dataset, name: str) -> tuple[int, int]:
    number = integer(dataset, name)
    return (1, 0) if number is None else (0, number)
