"""Loads a folder of DICOM files into an Orthanc; what is there already is not sent again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests

from gateway.dicom.part10 import MoreBytesNeeded, NotUnderstood, identify
from gateway.errors import DemoError
from gateway.model.sites import Site

PREFIX_BYTES = 64 * 1024
PARALLEL = 2
SEND_S = 120.0
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class LoadResult:
    """How many files were stored, were there before, and the names of those refused."""

    stored: int
    already: int
    failed: tuple[str, ...]


def load_folder(
    folder: Path, url: str, username: str, password: str, progress: Progress = lambda *_: None
) -> LoadResult:
    """Store every .dcm file below a folder.

    raises  DemoError if the Orthanc does not answer
    """
    files = sorted(folder.rglob("*.dcm"))
    outcomes: list[str] = []
    with requests.Session() as session, ThreadPoolExecutor(PARALLEL) as pool:
        session.auth = (username, password)
        try:
            held = _instances(session, url)

            def send(file: Path) -> str:
                if _instance_uid(file) in held:
                    return "already"
                with file.open("rb") as data:
                    answer = session.post(f"{url}/instances", data=data, timeout=SEND_S)
                if not answer.ok:
                    return "failed"
                return "stored" if answer.json().get("Status") == "Success" else "already"

            for outcome in pool.map(send, files):
                outcomes.append(outcome)
                progress(len(outcomes), len(files), folder.name)
        except requests.RequestException as error:
            raise DemoError(f"{url} does not take the samples: {type(error).__name__}") from error
    failed = [f.name for f, outcome in zip(files, outcomes, strict=True) if outcome == "failed"]
    return LoadResult(outcomes.count("stored"), outcomes.count("already"), tuple(failed))


def load_samples(folder: Path, site: Site, say: Callable[[str], None]) -> None:
    """Load the samples of one site of a demo region, telling every fifth of the way.

    raises  DemoError if the site does not answer or refuses files
    """
    told = -1

    def tell(done: int, total: int, _what: str) -> None:
        nonlocal told
        if (fifth := 5 * done // total) > told:
            told = fifth
            say(f"  {site.site_id}: {done}/{total}")

    result = load_folder(folder, site.url, site.username, site.password, tell)
    if result.failed:
        raise DemoError(f"{site.site_id}: {len(result.failed)} sample files were refused")


def _instances(session: requests.Session, url: str) -> frozenset[str]:
    """SOP instance UIDs that the Orthanc holds."""
    answer = session.post(
        f"{url}/tools/find",
        json={"Level": "Instance", "Query": {}, "Expand": True},
        timeout=SEND_S,
    )
    answer.raise_for_status()
    return frozenset(entry["MainDicomTags"]["SOPInstanceUID"] for entry in answer.json())


def _instance_uid(file: Path) -> str:
    """From the file's first bytes; "" for a file that does not say."""
    with file.open("rb") as data:
        try:
            return identify(data.read(PREFIX_BYTES), whole=False).sop_instance_uid
        except (MoreBytesNeeded, NotUnderstood):
            return ""
