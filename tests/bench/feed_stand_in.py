"""A stand-in site with a fast feed of any length: shows what following costs the keeper itself.

NOT Orthanc: bodies are made on the fly by one process. Run as

    python -m tests.bench.feed_stand_in STUDIES

and it prints its port, then serves until it is stopped.
"""

import asyncio
import sys
from functools import partial
from urllib.parse import parse_qs, urlsplit

import orjson

from tests.bench.stand_ins import _Door

ROOT = "1.2.826.0.1.3680043.10.999.7"
SERIES = 3
IMAGES = 40
IMAGE_BYTES = 500_000
ENTRIES = 5  # of each study: one of itself, three of its series, one of an image
NAMES = ("Иванов^Пётр^Ильич", "Щербакова^Юлия^Андреевна", "Gruber^Anna", "Ахметзянов^Рустам")


def orthanc_id(number: int) -> str:
    """An id of Orthanc's form that tells the study's number."""
    return "-".join([f"{number:08x}"] * 5)


def _study(number: int) -> dict[str, object]:
    return {
        "ID": orthanc_id(number),
        "LastUpdate": "20260101T101010",
        "MainDicomTags": {"StudyInstanceUID": f"{ROOT}.{number}"},
        "Type": "Study",
    }


def _dataset(**values: tuple[str, object]) -> dict[str, object]:
    return {tag[1:]: {"vr": vr, "Value": [value]} for tag, (vr, value) in values.items()}


def _record(number: int) -> dict[str, object]:
    return _dataset(
        t00080005=("CS", "ISO_IR 192"),
        t00080020=("DA", f"2026{number % 12 + 1:02d}{number % 28 + 1:02d}"),
        t00080030=("TM", "101010"),
        t00080050=("SH", f"A{number}"),
        t00080061=("CS", "CT"),
        t00080090=("PN", {"Alphabetic": "Врачёв^Семён"}),
        t00081030=("LO", "КТ грудной клетки"),
        t00100010=("PN", {"Alphabetic": f"{NAMES[number % 4]}{number % 1000}"}),
        t00100020=("LO", f"P{number}"),
        t00100030=("DA", "19500101"),
        t00100040=("CS", "O"),
        t0020000D=("UI", f"{ROOT}.{number}"),
        t00200010=("SH", "1"),
        t00201206=("IS", SERIES),
        t00201208=("IS", SERIES * IMAGES),
    )


def _series(number: int) -> list[dict[str, object]]:
    return [
        _dataset(
            t00080005=("CS", "ISO_IR 192"),
            t00080060=("CS", "CT"),
            t0008103E=("LO", "Лёгкие 1 мм"),
            t0020000D=("UI", f"{ROOT}.{number}"),
            t0020000E=("UI", f"{ROOT}.{number}.{at}"),
            t00200011=("IS", at),
            t00201209=("IS", IMAGES),
        )
        for at in range(1, SERIES + 1)
    ]


class FeedSite:
    """Answers what the follower asks, for studies 1 to `studies`."""

    def __init__(self, studies: int) -> None:
        self.studies = studies

    def answer(self, _method: str, target: str, _body: bytes) -> bytes:
        """The JSON for one request."""
        parts = urlsplit(target)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return orjson.dumps(self._found(parts.path, asked))

    def _found(self, path: str, asked: dict[str, str]) -> object:
        words = path.strip("/").split("/")
        if path == "/changes":
            return self._changes(int(asked["since"]), int(asked["limit"]))
        if words[0] == "series" and words[-1] == "statistics":
            return {"CountInstances": IMAGES, "DicomUncompressedSize": str(IMAGES * IMAGE_BYTES)}
        if words[-1] == "statistics":
            series = SERIES * (1 if words[0] == "studies" else self.studies)
            counts = {"CountSeries": series, "CountInstances": series * IMAGES}
            return {"CountStudies": self.studies, **counts}
        if "StudyInstanceUID" in asked:
            numbers = [int(uid.rsplit(".", 1)[1]) for uid in asked["StudyInstanceUID"].split(",")]
            if words[-1] == "series":
                return [series for number in numbers for series in _series(number)]
            return [_record(number) for number in numbers]
        if path == "/studies":
            since = int(asked["since"])
            last = min(since + int(asked["limit"]), self.studies)
            return [_study(number) for number in range(since + 1, last + 1)]
        if words[-1] == "series":
            number = int(words[1][:8], 16)
            return [
                {
                    "ID": f"{words[1][:-8]}{at:08x}",
                    "Instances": [],
                    "MainDicomTags": {"SeriesInstanceUID": f"{ROOT}.{number}.{at}"},
                }
                for at in range(1, SERIES + 1)
            ]
        return _study(int(words[1][:8], 16))

    def _changes(self, since: int, limit: int) -> object:
        end = self.studies * ENTRIES
        last = min(since + limit, end)
        levels = ["Study", *["Series"] * SERIES, "Instance"]
        entries = [
            {
                "Seq": seq,
                "ChangeType": "New" + levels[(seq - 1) % ENTRIES],
                "ResourceType": levels[(seq - 1) % ENTRIES],
                "ID": orthanc_id((seq - 1) // ENTRIES + 1),
                "Date": "20260101T101010",
            }
            for seq in range(since + 1, last + 1)
        ]
        return {"Changes": entries, "Last": max(last, min(since, end)), "Done": last >= end}


async def serve(studies: int) -> None:
    """Listen on a free port, print it, serve for ever."""
    door = partial(_Door, FeedSite(studies), 0.0)  # type: ignore[arg-type]
    server = await asyncio.get_running_loop().create_server(door, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
