"""How long after it was stored a study is found by search: with the plugin's bell, and without.

A real Orthanc, gateway and keeper, as a hospital runs them; the gateway is asked again and again.
"""

import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from gateway.demo.servers import REPOSITORY, OrthancServer, Program, answers, free_port
from tests.running import load, region_toml
from tests.studies import a_study
from tests.waiting import wait_until

KEY = "a-key-that-nobody-guesses"
PAUSE_S = 2.0  # at most, between two studies: they meet the keeper at any moment of its round
LOOK_S = 0.02
PATIENCE_S = 120.0


@contextmanager
def _region(folder: Path, *, bell: bool) -> Iterator[tuple[OrthancServer, str]]:
    """An Orthanc that the keeper has read to its end, and the gateway's DICOMweb root."""
    port = free_port()
    (folder / "event.key").write_text(KEY)
    ring = {"Url": f"http://127.0.0.1:{port}/events", "Site": "gkb1"}
    orthanc = OrthancServer(
        folder / "orthanc", "gkb1", free_port(), free_port(), username="bench", password="secret",
        settings={"GatewayBell": {**ring, "KeyFile": str(folder / "event.key")}} if bell else None,
    )  # fmt: skip
    (folder / "gkb1.password").write_text(orthanc.password)
    file = folder / "region.toml"
    text = region_toml({"gkb1": orthanc.url}, {"gkb1": orthanc}, "gkb1")
    file.write_text(text + 'event_key_file = "event.key"\n', encoding="utf-8")
    environ = {
        "GATEWAY_STATE_DIR": str(folder / "state"),
        "GATEWAY_REDIS_URL": "redis://127.0.0.1:1/0",
        "GATEWAY_WEB_WORKERS": "1",
    }

    def program(*words: str) -> Program:
        command = [sys.executable, "-m", "gateway.cli", *words, "--region", str(file)]
        return Program(words[0], command, folder / words[0], environ=environ, folder=REPOSITORY)

    with orthanc, program("web", "--port", str(port)), program("keeper"):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(port, "/healthz"), PATIENCE_S, "the gateway")
        wait_until(lambda: _is_followed(url), PATIENCE_S, "the keeper")
        yield orthanc, url + "/dicom-web"


def _is_followed(url: str) -> bool:
    (site,) = requests.get(url + "/status/sites", timeout=30).json()["sites"]
    return site["index"] is not None and site["index"]["read_s_ago"] is not None


def _found_after(orthanc: OrthancServer, root: str, studies: int) -> list[float]:
    """Seconds from the answer to the store to the first search that lists it, for each study."""
    chance = random.Random(1)  # noqa: S311 - moments, nothing to guard
    spans = []
    with requests.Session() as viewer:
        for number in range(1, studies + 1):
            time.sleep(chance.uniform(0.0, PAUSE_S))
            load(orthanc, a_study(number, (2, 1)))
            stored = time.monotonic()
            question = f"{root}/studies?AccessionNumber=A{number}"
            while not (viewer.get(question, timeout=30).content or b"[]").startswith(b"[{"):
                if time.monotonic() - stored > PATIENCE_S:
                    raise AssertionError(f"study {number} is not found")
                time.sleep(LOOK_S)
            spans.append(time.monotonic() - stored)
    return spans


def _share(spans: Sequence[float], share: float) -> float:
    return sorted(spans)[min(int(share * len(spans)), len(spans) - 1)]


def measure_discovery(folder: Path, studies: int) -> None:
    """Print median, 95th percentile and the longest, with the bell and without."""
    for bell, wanted_s in ((True, 2), (False, 10)):
        home = folder / ("bell" if bell else "silent")
        home.mkdir()
        with _region(home, bell=bell) as (orthanc, root):
            spans = _found_after(orthanc, root, studies)
        print(
            f"stored -> found, {'with the bell' if bell else 'without a bell'}: "
            f"median {_share(spans, 0.5):.2f} s, p95 {_share(spans, 0.95):.2f} s "
            f"(wanted: {wanted_s} s), longest {max(spans):.2f} s, {len(spans)} studies",
            flush=True,
        )
