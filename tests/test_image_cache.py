"""The folder of kept images: whole or not there, bounded, ours alone, and never in the way."""

import errno
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.image_cache import DRAFT, LEFT_BEHIND_S, Draft, ImageCache
from tests.waiting import wait_until

MIB = 2**20
TYPE = 'multipart/related; type="image/jls"; boundary=b'


def key_of(name: object) -> str:
    return sha256(str(name).encode()).hexdigest()[:32]


def keep(cache: ImageCache, name: object, body: bytes) -> None:
    draft = cache.begin(key_of(name), TYPE, len(body))
    assert draft is not None
    draft.add(body[:1000])
    draft.add(body[1000:])
    draft.commit()


def found(cache: ImageCache, name: object) -> bytes | None:
    kept = cache.find(key_of(name))
    if kept is None:
        return None
    body = b"".join(iter(lambda: kept.read(1000), b""))
    kept.close()
    assert (kept.content_type, kept.length) == (TYPE, len(body))
    return body


def entries(cache: ImageCache) -> list[Path]:
    return list(cache.folder.glob("??/*"))


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "cache", 100 * MIB, 1)


def test_what_one_process_keeps_another_finds(cache):
    body = os.urandom(70_000)
    keep(cache, "a", body)
    assert found(ImageCache(cache.folder, 100 * MIB, 1), "a") == body
    assert found(cache, "b") is None


def test_files_and_folders_are_for_their_owner_alone(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    cache = ImageCache(folder, 100 * MIB, 1)
    keep(cache, "a", b"pixels")
    (entry,) = entries(cache)
    modes = [path.stat().st_mode & 0o777 for path in (folder, entry.parent, entry)]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize("sent", [b"", b"half", b"all of it and more"])
def test_a_body_of_another_length_does_not_enter(cache, sent):
    draft = cache.begin(key_of("a"), TYPE, len(b"all of it"))
    draft.add(sent)
    assert found(cache, "a") is None
    draft.commit()
    assert found(cache, "a") is None
    assert list(cache.folder.glob(f"{DRAFT}*")) == []


def test_a_discarded_body_leaves_nothing(cache):
    draft = cache.begin(key_of("a"), TYPE, 4)
    draft.add(b"half")
    draft.discard()
    draft.add(b"late")
    draft.commit()
    assert [path for path in cache.folder.rglob("*") if path.is_file()] == []


def test_an_entry_that_is_damaged_is_not_given(cache):
    keep(cache, "a", b"x" * 5000)
    (entry,) = entries(cache)
    for damaged in (entry.read_bytes()[:-1], b"", b"no head at all"):
        entry.write_bytes(damaged)
        assert found(cache, "a") is None
        assert not entry.exists()
    assert cache.is_on


def test_a_link_in_the_folder_is_not_followed(cache, tmp_path):
    (tmp_path / "secret").write_text(f"6 {TYPE}\nsecret")
    place = cache.place(key_of("a"))
    place.parent.mkdir()
    place.symlink_to(tmp_path / "secret")
    with capture_logs():
        assert found(cache, "a") is None


def test_processes_together_stay_below_the_bound(tmp_path):
    most = 2 * MIB
    caches = [ImageCache(tmp_path, most, 2) for _ in range(2)]
    largest = 0
    for n in range(120):
        keep(caches[n % 2], n, os.urandom(50_000))
        largest = max(largest, sum(path.stat().st_size for path in entries(caches[0])))
    assert most // 2 < largest <= most
    assert found(caches[0], 119) is not None


def test_what_was_not_used_for_the_longest_time_goes_first(tmp_path):
    cache = ImageCache(tmp_path, 2 * MIB, 1)
    for n in range(30):
        keep(cache, n, bytes(50_000))
        os.utime(cache.place(key_of(n)), (0, 1000 + n))
    assert found(cache, 0) is not None  # used: now it is the newest
    for n in range(100, 110):
        keep(cache, n, bytes(50_000))
    cache.sweep()
    left = {n for n in range(30) if cache.place(key_of(n)).exists()}
    assert 0 in left
    assert left - {0} == set(range(min(left - {0}), 30))
    assert len(left) < 30


def test_what_is_too_large_for_the_folder_is_not_begun(cache):
    assert cache.begin(key_of("a"), TYPE, 5 * MIB + 1) is None
    draft = cache.begin(key_of("a"), TYPE, 5 * MIB)
    assert draft is not None
    draft.discard()


def test_a_draft_of_a_dead_process_is_cleared_away_and_one_of_a_living_is_not(cache):
    old, young = cache.folder / f"{DRAFT}old", cache.folder / f"{DRAFT}young"
    for draft in (old, young):
        draft.write_bytes(b"half")
    long_ago = young.stat().st_mtime - LEFT_BEHIND_S - 10
    os.utime(old, (long_ago, long_ago))
    keep(cache, "a", b"pixels")  # the first entry of a process looks at all
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.parametrize("step", ["_write", "_finish"])
def test_a_full_disk_turns_it_off_with_one_line(cache, monkeypatch, step):
    keep(cache, "before", b"pixels")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    draft = cache.begin(key_of("a"), TYPE, 4)
    monkeypatch.setattr(Draft, step, full)
    with capture_logs() as logs:
        draft.add(b"half")
        draft.commit()
        assert cache.begin(key_of("b"), TYPE, 4) is None
        assert found(cache, "before") is None
    assert [line["event"] for line in logs] == ["disk cache off"]
    assert list(cache.folder.glob(f"{DRAFT}*")) == []


def test_a_folder_that_is_no_folder_turns_it_off(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with capture_logs() as logs:
        cache = ImageCache(tmp_path / "cache", 100 * MIB, 1)
        assert (cache.is_on, found(cache, "a"), cache.begin("a", TYPE, 1)) == (False, None, None)
    assert [line["event"] for line in logs] == ["disk cache off"]


def test_the_folder_of_another_user_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with capture_logs() as logs:
        assert not ImageCache(tmp_path, 100 * MIB, 1).is_on
    assert [line["why"] for line in logs] == ["PermissionError"]


def test_a_process_that_is_killed_while_it_writes_leaves_only_whole_entries(tmp_path):
    code = (
        "import itertools, sys; from pathlib import Path\n"
        "from tests.test_image_cache import ImageCache, body_of, keep\n"
        "cache = ImageCache(Path(sys.argv[1]), 2**30, 1)\n"
        "for n in itertools.count(): keep(cache, n, body_of(n))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[1]
    )
    try:
        wait_until(lambda: len(list(tmp_path.glob("??/*"))) > 30, 60, "some entries")
    finally:
        process.kill()
        process.wait()
    cache = ImageCache(tmp_path, 2**30, 1)
    whole = [n for n in range(len(entries(cache)) + 1) if found(cache, n) == body_of(n)]
    assert len(whole) == len(entries(cache)) > 30


def body_of(n: int) -> bytes:
    return sha256(str(n).encode()).digest() * 20_000
