"""What the log says, and what it never does."""

from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.log import Names, configure

UID = "1.2.826.0.1.3680043.8.498.12345678901234567890"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Names:
    key_file = tmp_path_factory.mktemp("key") / "gateway.key"
    key_file.write_text("a key of this gateway")
    return Names(key_file)


@given(
    uid=st.one_of(
        st.just(UID),
        st.integers(10**30, 10**38).map(lambda n: f"2.25.{n}"),
        st.lists(st.integers(0, 10**9), min_size=6, max_size=9).map(
            lambda found: ".".join(["1", *map(str, found)])
        ),
    ),
    before=st.sampled_from(["", "study ", "'", "/studies/", "\\n"]),
    after=st.sampled_from(["", " is gone", "'", "/series", ".", ","]),
)
def test_a_uid_stands_under_another_name_wherever_it_stands(
    names: Names, uid: str, before: str, after: str
) -> None:
    told = before + uid + after
    event = {"event": told, "study": uid, "facts": {"uids": [uid]}, "exception": f"x\n{told}"}
    names.hide(None, "", event)
    assert uid not in repr(event)
    assert event["study"] == names.of(uid)
    assert event["event"] == before + names.of(uid) + after


@pytest.mark.parametrize("plain", ["127.0.0.1", "1.2.3", "rq 3.0.1", "2026-11-22", "1.10.1", ""])
def test_addresses_versions_and_dates_stay(names: Names, plain: str) -> None:
    assert names.hide(None, "", {"event": plain}) == {"event": plain}


def test_another_key_gives_other_names(names: Names, tmp_path: Path) -> None:
    assert names.of(UID) != Names(None).of(UID)
    assert names.of(UID) != Names(tmp_path / "no.key").of(UID)


HOSTILE = "a\r\n2026-11-22T00:00:00Z [info     ] all is well\x1b[2J\u202e\u0085\0"


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_others_write_is_one_line_of_visible_letters(
    capfd: pytest.CaptureFixture[str], form: str
) -> None:
    """H68"""
    configure("INFO", form)
    logger = structlog.get_logger("gateway")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logger.exception("a fault", why=HOSTILE, many=[HOSTILE, {"it": HOSTILE}])
    told = capfd.readouterr().err
    assert not any(sign in told for sign in "\r\x1b\u202e\u0085\0")
    begun = [line for line in told.splitlines() if line.startswith("2026")]
    assert all("a fault" in line for line in begun)


def test_a_long_value_is_cut(capfd: pytest.CaptureFixture[str]) -> None:
    """H68"""
    configure("INFO", "json")
    structlog.get_logger("gateway").info("said", value="x" * 10**6, many=["y" * 10**6])
    assert len(capfd.readouterr().err) < 10_000
