"""Images of a far hospital are kept on the gateway's disk: two web processes, one folder.

zlat is the far one. Its proxy sees what goes over the line.
"""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.chaosproxy import cut, only
from tests.faults.callers import raw_get
from tests.faults.conftest import ALONE, COPIED, GatewayProcess, Region, end, write_region
from tests.journeys.indexed import write_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real

PUBLIC = "http://images.example"
DOWNLOAD = "/dicom-web/studies/"
FRAME = f"{ALONE.instance_path}/frames/1"
AS_STORED = "multipart/related; type=application/octet-stream; transfer-syntax=*"
WHOLE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
SINGLE = "application/dicom; transfer-syntax=*"
UNREAD = ALONE.instance_path.rpartition("/")[0] + "/" + ALONE.sop_uids[1]
"""An image that no test reads to its end."""
PIXELS = ALONE.files[0][-512 * 512 * 2 :]
ASKED = {
    "a frame": (FRAME, AS_STORED),
    "a frame as a single part": (FRAME, "application/octet-stream; transfer-syntax=*"),
    "an instance": (ALONE.instance_path, WHOLE),
    "an instance as a single part": (ALONE.instance_path, SINGLE),
    "a frame, decoded": (FRAME, "multipart/related; type=application/octet-stream"),
    "a rendering": (f"{ALONE.instance_path}/rendered?viewport=200,200", "image/png"),
    "a thumbnail": (f"{FRAME}/thumbnail", "image/jpeg"),
}
marks = itertools.count()


@dataclass
class Pair:
    """Two processes with the same folder and index."""

    one: GatewayProcess
    other: GatewayProcess
    folder: Path
    region: Region

    def new_version(self) -> None:
        """The index says that the study has changed; both processes know it when this returns."""
        tags = [self._tag(process) for process in (self.one, self.other)]
        write_study(self.folder / "state", "zlat", ALONE.uid, f"version {next(marks)}")
        for process, tag in zip((self.one, self.other), tags, strict=True):
            wait_until(lambda p=process, t=tag: self._tag(p) not in ("", t), 60, "the new version")

    def _tag(self, process: GatewayProcess) -> str:
        """The tag of an answer that is not kept: it goes with the version."""
        answer = process.get(ALONE.path, headers={"Accept": WHOLE}, stream=True)
        with answer:
            return answer.headers.get("ETag", "")

    def downloads(self) -> list[bytes]:
        seen = self.region["zlat"].proxy.seen
        return [line for line in seen if DOWNLOAD.encode() in line and b"/instances/" in line]

    def entries(self) -> list[Path]:
        return [path for path in (self.folder / "cache").glob("??/*") if path.is_file()]


def start(folder: Path, built_region: Region, state: Path, **more: str) -> GatewayProcess:
    folder.mkdir()
    write_region(folder / "region.toml", built_region, cached=("zlat",))
    environ = {
        "GATEWAY_STATE_DIR": str(state),
        "GATEWAY_CACHE_DIR": str(state.parent / "cache"),
        "GATEWAY_PUBLIC_URL": PUBLIC,  # processes that share a folder have one address
        "GATEWAY_MAX_INDEX_AGE_S": "3600",
        **more,
    }
    process = GatewayProcess(folder, folder / "region.toml", **environ)
    process.start()
    return process


@pytest.fixture(scope="module")
def started(built_region: Region, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("kept")
    one, other = (start(folder / name, built_region, folder / "state") for name in ("one", "other"))
    pair = Pair(one, other, folder, built_region)
    pair.new_version()
    yield pair
    end(one)
    end(other)


@pytest.fixture
def pair(started: Pair, region: Region) -> Pair:
    """Every site well; of some images there may be a copy on the disk."""
    return started


@pytest.fixture
def fresh(pair: Pair) -> Pair:
    """A version of which nothing is kept."""
    pair.new_version()
    pair.region["zlat"].proxy.seen.clear()
    return pair


def get(process: GatewayProcess, path: str, accept: str, **headers: str) -> requests.Response:
    return process.get(path, headers={"Accept": accept, **headers})


def items(answer: requests.Response) -> bytes:
    """What the answer brings, without a frame of parts, whose boundaries may differ."""
    return answer.content.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0] or answer.content


def test_the_second_reader_costs_the_line_nothing(fresh):
    first = {name: get(fresh.one, *asked) for name, asked in ASKED.items()}
    assert {answer.status_code for answer in first.values()} == {200}
    assert len(fresh.downloads()) == 2  # the frame and the instance: all else is made of them
    for process in (fresh.one, fresh.other):
        again = {name: get(process, *asked) for name, asked in ASKED.items()}
        for name, (path, _) in ASKED.items():
            assert again[name].headers["ETag"] == first[name].headers["ETag"]
            assert again[name].headers["Content-Location"] == PUBLIC + path.partition("?")[0]
            assert items(again[name]) == items(first[name])
    assert len(fresh.downloads()) == 2


def test_a_new_version_is_fetched_anew(pair):
    get(pair.one, FRAME, AS_STORED)
    pair.new_version()
    pair.region["zlat"].proxy.seen.clear()
    assert PIXELS in get(pair.one, FRAME, AS_STORED).content
    assert len(pair.downloads()) == 1


def test_a_range_of_what_is_kept_is_right(pair):
    whole = get(pair.one, ALONE.instance_path, SINGLE).content
    pair.region["zlat"].proxy.seen.clear()
    part = get(pair.other, ALONE.instance_path, SINGLE, Range="bytes=1000-200999")
    assert (part.status_code, part.content) == (206, whole[1000:201000])
    assert pair.downloads() == []


@pytest.mark.parametrize("below", ["", "/frames/1"], ids=["instance", "frame"])
@pytest.mark.parametrize(
    "fault",
    [cut(0.5), cut(0.99), cut(1, missing=1), cut(0.5, without_length=True)],
    ids=["half", "99 %", "the last byte", "half, without a length"],
)
def test_what_broke_off_never_enters(pair, below, fault):
    accept = AS_STORED if below else WHOLE
    before = set(pair.entries())
    pair.region["zlat"].proxy.fault = only(DOWNLOAD, fault)
    assert not raw_get(pair.one.port, UNREAD + below, f"Accept: {accept}").is_whole
    assert set(pair.entries()) == before


def test_what_a_caller_did_not_read_to_its_end_does_not_enter(pair):
    before = set(pair.entries())
    with get(pair.one, UNREAD, SINGLE, Range="bytes=0-9") as first:
        assert len(first.content) == 10
    assert set(pair.entries()) == before


def test_the_decision_comes_before_the_cache(pair):
    assert get(pair.one, FRAME, AS_STORED).ok
    assert get(pair.one, "/sites/gkb1" + FRAME, AS_STORED).status_code == 404
    write_region(pair.one.region_file, pair.region, ("gkb1", "magnit"))
    wait_until(lambda: get(pair.one, FRAME, AS_STORED).status_code == 404, 60, "the new region")
    write_region(pair.one.region_file, pair.region, cached=("zlat",))
    wait_until(lambda: get(pair.one, FRAME, AS_STORED).ok, 60, "the old region")


def test_what_near_sites_give_is_not_kept(pair):
    before = set(pair.entries())
    assert get(pair.one, f"{COPIED.instance_path}/frames/1", AS_STORED).ok
    assert set(pair.entries()) == before


def test_kept_files_are_for_the_gateway_alone(pair):
    get(pair.one, FRAME, AS_STORED)
    modes = {path.stat().st_mode & 0o777 for path in pair.entries()}
    assert modes == {0o600}
    assert (pair.folder / "cache").stat().st_mode & 0o777 == 0o700


def test_without_its_folder_the_gateway_serves_as_before(region, built_region, tmp_path):
    process = start(tmp_path / "alone", built_region, tmp_path / "state")
    try:
        write_study(tmp_path / "state", "zlat", ALONE.uid, "one")
        wait_until(lambda: "ETag" in get(process, FRAME, AS_STORED).headers, 60, "a version")
        shutil.rmtree(tmp_path / "cache")
        (tmp_path / "cache").write_text("a file")
        for _ in range(3):
            assert PIXELS in get(process, FRAME, AS_STORED).content
        assert process.log_text().count("disk cache off") == 1
    finally:
        end(process)
