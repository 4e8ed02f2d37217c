"""Metadata of instances from a site that says what it likes: garbage is never half an answer."""

from collections.abc import Iterator
from typing import Any, cast

import orjson
import pytest

from gateway.errors import SiteRefused, SiteSpeaksGarbage
from gateway.orthanc.tags import Origin, read_origins, read_tags
from gateway.orthanc.wire import Wire
from tests.fakes import a_site

SITE = a_site("gkb1")
MINE = {"0020000E": {"vr": "UI", "Value": ["1.2.1"]}}


class Said:
    """The answer of a wire that nobody listens at."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._blocks = [body[at : at + 10] for at in range(0, len(body), 10)]

    def __enter__(self) -> "Said":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def become_stream(self) -> None:
        pass

    def read(self) -> bytes:
        return self._blocks.pop(0) if self._blocks else b""

    def read_all(self, _limit: int) -> bytes:
        return b"".join(self._blocks)


class Answers:
    def __init__(self, *said: object, status: int = 200) -> None:
        self._said: Iterator[object] = iter(said)
        self._status = status
        self.asked: list[str] = []

    def open(self, _site: object, _method: str, target: str, **_: Any) -> Said:
        self.asked.append(target)
        found = next(self._said)
        return Said(self._status, found if isinstance(found, bytes) else orjson.dumps(found))


def wire(*said: object, status: int = 200) -> Wire:
    return cast(Wire, Answers(*said, status=status))


def test_only_what_was_asked_for_is_taken() -> None:
    other = {"0020000E": {"vr": "UI", "Value": ["1.2.2"]}}
    assert list(read_tags(wire([MINE, other, MINE]), SITE, "1.2", "1.2.1")) == [MINE, MINE]


@pytest.mark.parametrize(
    "said",
    [
        b"<html>",
        {"Message": "no"},
        b'[{"0020000E"',
        b'[{"0020000E": nonsense}]',
        [MINE | {"zz000010": {"vr": "LO"}}],
        [MINE | {"00081030": "text"}],
        [MINE | {"00081030": {"vr": ["LO"]}}],
        [MINE | {"00081030": {"vr": "LO", "Value": "text"}}],
    ],
    ids=repr,
)
def test_garbage_is_told_and_not_taken_for_missing(said: object) -> None:
    with pytest.raises(SiteSpeaksGarbage):
        list(read_tags(wire(said), SITE, "1.2", "1.2.1"))


def test_a_series_that_is_gone_is_refused() -> None:
    with pytest.raises(SiteRefused, match="404"):
        list(read_tags(wire(b"", status=404), SITE, "1.2", "1.2.1"))


def test_an_orthanc_that_gives_no_metadata_with_its_list_is_asked_for_each() -> None:
    name = "11111111-22222222-33333333-44444444-55555555"
    known = {"RemoteAET": "CT1 ", "RemoteIP": "10.0.0.1", "TransferSyntax": "no UID"}
    answers = Answers([{"ID": name}, {"ID": name, "Metadata": known}], known)
    origins = list(read_origins(cast(Wire, answers), SITE, "1.2"))
    assert origins == [Origin("CT1", "10.0.0.1", "", None)] * 2
    assert answers.asked == ["/tools/find", f"/instances/{name}/metadata?expand"]


@pytest.mark.parametrize("said", [{}, [1], [{"ID": "../../system"}], [{}]], ids=repr)
def test_a_list_of_instances_that_is_none_is_garbage(said: object) -> None:
    with pytest.raises(SiteSpeaksGarbage):
        list(read_origins(wire(said, {}), SITE, "1.2"))
