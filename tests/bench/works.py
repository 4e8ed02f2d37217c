"""What is measured: each work is one kind of request, put to Orthanc and to the gateway.

Every answer is judged after its clock has stopped; a wrong one counts as an error, never as a
fast one.
"""

import gzip
import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import orjson
import requests

from gateway.demo.servers import OrthancServer
from tests.bench.client import Answer, Broken, Client
from tests.bench.region import ManySites, Servers
from tests.bench.stand_ins import FIRST_SITE, STUDIES
from tests.bench.studies import (
    CT,
    CT_TO_STORE,
    SHARED_PATIENT,
    SLICES,
    TOKEN,
    SmallStudy,
    small_studies,
    store_body,
)

PAGE = 101  # what the viewer's list asks for
JSON = "Accept: application/dicom+json\r\n"
BLOCK = 256 * 1024
BOUNDARY = "the-bench-writes-this-line"
ANY_DICOM = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*\r\n'
ANY_PIXELS = 'Accept: multipart/related; type="application/octet-stream"\r\n'
UIDS = {"study": "0020000D", "instance": "00080018"}

Judge = Callable[[Answer], bool]


class Asker(ABC):
    """One caller: `ask` is timed, `good` then judges what came, `bytes_moved` is its size."""

    def prepare(self) -> None:  # noqa: B027 - most askers need no preparation
        """Untimed, before a measurement."""

    @abstractmethod
    def ask(self) -> None: ...

    @abstractmethod
    def good(self) -> bool: ...

    @property
    @abstractmethod
    def bytes_moved(self) -> int: ...

    @abstractmethod
    def close(self) -> None: ...


class Get(Asker):
    """GET requests on one kept connection, the targets in turn.

    clients  (client, targets) that are asked at once; their answers are read one after another,
             so the slowest one counts
    judge    told the number of the request and the answers' bodies
    """

    def __init__(
        self,
        clients: Sequence[Client],
        targets: Sequence[str],
        headers: str,
        judge: Callable[[int, Sequence[Answer]], bool],
        *,
        bulk: bool = False,
        first: int = 0,
    ) -> None:
        self.clients = clients
        self.targets = targets
        self.headers = headers
        self.judge = judge
        self.bulk = bulk
        self.turn = itertools.count(first)
        self.number = 0
        self.answers: list[Answer] = []

    def prepare(self) -> None:
        for client in self.clients:
            client.fresh()

    def ask(self) -> None:
        self.number = next(self.turn) % len(self.targets)
        for client in self.clients:
            client.send("GET", self.targets[self.number], self.headers)
        self.answers = [client.receive(bulk=self.bulk) for client in self.clients]

    def good(self) -> bool:
        whole = all(answer.status == 200 for answer in self.answers)
        return whole and self.judge(self.number, self.answers)

    @property
    def bytes_moved(self) -> int:
        return sum(answer.length for answer in self.answers)

    def close(self) -> None:
        for client in self.clients:
            client.close()


class Store(Asker):
    """100 MB in chunks: a study that the site does not have yet; it is deleted again."""

    _numbers = itertools.count(1)

    def __init__(self, client: Client, template: bytes, orthanc: OrthancServer) -> None:
        self.client = client
        self.template = template
        self.site = Client(orthanc.http_port, *orthanc.auth)
        self.token = TOKEN
        self.body = memoryview(b"")
        self.answer: Answer | None = None

    def prepare(self) -> None:
        self.token = b"%d" % (int(TOKEN) + next(self._numbers))
        self.body = memoryview(self.template.replace(TOKEN, self.token))

    def ask(self) -> None:
        blocks = (self.body[n : n + BLOCK] for n in range(0, len(self.body), BLOCK))
        kind = f'Content-Type: multipart/related; type="application/dicom"; boundary={BOUNDARY}\r\n'
        self.client.send_chunked("POST", "/dicom-web/studies", kind + JSON, blocks)
        self.answer = self.client.receive()

    def good(self) -> bool:
        """All instances named in the answer, and all of them really there."""
        if self.answer is None or self.answer.status != 200:
            return False
        stored = orjson.loads(self.answer.content).get("00081199", {}).get("Value", [])
        uid = CT_TO_STORE.study_uid.replace(TOKEN.decode(), self.token.decode())
        self.site.fresh()
        found = orjson.loads(self.site.ask("POST", "/tools/lookup", body=uid.encode()).content)
        if len(found) != 1:
            return False
        path = found[0]["Path"]
        facts = orjson.loads(self.site.ask("GET", f"{path}/statistics").content)
        self.site.ask("DELETE", path)
        return len(stored) == SLICES and int(facts["CountInstances"]) == SLICES

    @property
    def bytes_moved(self) -> int:
        return len(self.body)

    def close(self) -> None:
        self.client.close()
        self.site.close()


class Process(Protocol):
    """What stands between caller and site, and what it costs."""

    def cpu_s(self) -> float: ...


@dataclass(frozen=True)
class Side:
    """One way to ask: as many askers as there are callers, and the process that they go through."""

    askers: Sequence[Asker]
    process: Process | None = None


@dataclass(frozen=True)
class Work:
    """One kind of question, put to every side by as many callers at a time.

    unit      "ms" for the median time of one request, else a rate over all callers
    requests  of each caller in one round
    sides     "direct", "gateway" and, where a plain proxy could do it too, "nginx" (that proxy)
              and "behind" (the gateway behind the nginx that it configures)
    per       what the processor time of a side's process is divided by
    """

    name: str
    unit: Literal["ms", "MB/s", "req/s"]
    requests: int
    sides: Mapping[str, Side]
    per: Literal["request", "GB"] = "request"

    def close(self) -> None:
        for side in self.sides.values():
            for asker in side.askers:
                asker.close()


def all_works(servers: Servers) -> list[Work]:
    """Every work of a run, in the order of the table."""
    return [
        *_searches(servers),
        *_retrieves(servers),
        _store(servers),
        *(work for many in servers.many for work in _many_searches(many)),
    ]


def _searches(servers: Servers) -> list[Work]:
    direct = [Client(orthanc.http_port, *orthanc.auth) for orthanc in servers.orthancs]
    site_id = servers.orthancs[0].site_id
    newest, shared = _expected(servers.studies)
    _, own = _expected(servers.studies[:1])
    by_patient, by_page = f"/studies?PatientID={SHARED_PATIENT}", f"/studies?limit={PAGE}"

    def work(
        name: str, requests: int, path: str, root: str, asked: Sequence[Client], judges: Any
    ) -> Work:
        ours = [Client(servers.gateway.port)]
        return Work(
            name,
            "ms",
            requests,
            {
                "direct": Side([Get(asked, ["/dicom-web" + path], JSON, judges[0])]),
                "gateway": Side(
                    [Get(ours, [f"{root}/dicom-web{path}"], JSON, judges[1])], servers.gateway
                ),
            },
        )

    return [
        work(
            "search PatientID, one site",
            30,
            by_patient,
            f"/sites/{site_id}",
            direct[:1],
            (_rows(own), _rows(own)),
        ),
        work(
            "search PatientID, 3 sites",
            30,
            by_patient,
            "",
            direct,
            (_rows(shared, ordered=False), _rows(shared)),
        ),
        work(
            f"search limit={PAGE}, 3 sites, newest first",
            4,
            by_page,
            "",
            direct,
            (_count(PAGE * len(direct)), _rows(newest)),
        ),
    ]


def _expected(studies: Sequence[Sequence[SmallStudy]]) -> tuple[list[str], list[str]]:
    """UIDs of the first page and of the patient whom all sites know, both newest first."""
    ordered = sorted(itertools.chain.from_iterable(studies), key=lambda study: study.order)
    shared = [study.study_uid for study in ordered if study.patient_id == SHARED_PATIENT]
    return [study.study_uid for study in ordered][:PAGE], shared


def _many_searches(many: ManySites) -> list[Work]:
    count = len(many.ports)
    newest, shared = _expected([small_studies(FIRST_SITE + n, STUDIES) for n in range(count)])
    away = f" {many.delay_ms} ms away" if many.delay_ms else ""
    direct = [Client(port) for port in many.ports]
    works = []
    for name, times, path, judges in (
        (
            "PatientID",
            10,
            f"/studies?PatientID={SHARED_PATIENT}",
            (_rows(shared, ordered=False), _rows(shared)),
        ),
        (
            f"limit={PAGE}",
            3,
            f"/studies?limit={PAGE}",
            (_count(min(PAGE, STUDIES) * count), _rows(newest)),
        ),
    ):
        works.append(
            Work(
                f"search {name}, {count} stand-ins{away}",
                "ms",
                times,
                {
                    "direct": Side([Get(direct, ["/dicom-web" + path], JSON, judges[0])]),
                    "gateway": Side(
                        [Get([Client(many.gateway.port)], ["/dicom-web" + path], JSON, judges[1])],
                        many.gateway,
                    ),
                },
            )
        )
    return works


def _retrieves(servers: Servers) -> list[Work]:
    orthanc = servers.orthancs[0]
    series = f"/dicom-web/studies/{CT.study_uid}/series/{CT.series_uid}"
    instances = [f"{series}/instances/{CT.instance_uid(n)}" for n in range(SLICES)]
    frames = [f"{path}/frames/1" for path in instances]

    def askers(port: int, login: tuple[str, ...], callers: int, *rest: Any, **more: Any) -> Any:
        return [
            Get([Client(port, *login)], *rest, first=n * SLICES // callers, **more)
            for n in range(callers)
        ]

    def work(
        name: str, unit: Any, callers: int, requests: int, per: Any, *rest: Any, **more: Any
    ) -> Work:
        sides = {"direct": Side(askers(orthanc.http_port, orthanc.auth, callers, *rest, **more))}
        through = {"nginx": servers.nginx, "gateway": servers.gateway, "behind": servers.front}
        for side, process in through.items():
            sides[side] = Side(askers(process.port, (), callers, *rest, **more), process)
        return Work(f"{name}, c={callers}", unit, requests, sides, per)

    metadata = ([f"{series}/metadata"], JSON, _metadata)
    study = (["/dicom-web/studies/" + CT.study_uid], ANY_DICOM, _whole_study)
    frame = (frames, ANY_PIXELS, _one_part(CT.frames))
    instance = (instances, ANY_DICOM, _one_part(CT.files))
    again = (metadata[0], JSON + "Accept-Encoding: gzip\r\n", _metadata)
    second_reader = Work(
        f"series metadata, {SLICES} slices, second reader",
        "ms",
        5,
        {
            "direct": Side(askers(orthanc.http_port, orthanc.auth, 1, *again)),
            "gateway": Side(askers(servers.indexed.port, (), 1, *again), servers.indexed),
        },
    )
    return [
        work(f"series metadata, {SLICES} slices", "ms", 1, 3, "request", *metadata),
        second_reader,
        work("study retrieve, 105 MB", "MB/s", 1, 3, "GB", *study, bulk=True),
        work("study retrieve, 105 MB", "MB/s", 4, 2, "GB", *study, bulk=True),
        work("study retrieve, 105 MB", "MB/s", 16, 1, "GB", *study, bulk=True),
        work("frame, 524 KB", "ms", 1, 60, "request", *frame),
        work("frame, 524 KB", "req/s", 8, 25, "request", *frame),
        work("instance, 525 KB", "req/s", 8, 25, "request", *instance),
    ]


def _store(servers: Servers) -> Work:
    template = store_body(BOUNDARY)
    orthanc = servers.orthancs[0]
    return Work(
        "store, 105 MB in chunks, c=1",
        "MB/s",
        1,
        {
            "direct": Side([Store(Client(orthanc.http_port, *orthanc.auth), template, orthanc)]),
            "gateway": Side(
                [Store(Client(servers.gateway.port), template, orthanc)], servers.gateway
            ),
        },
        per="GB",
    )


def _uids(answers: Sequence[Answer], tag: str) -> list[str]:
    rows = [row for answer in answers for row in orjson.loads(_unpacked(answer))]
    return [row[tag]["Value"][0] for row in rows]


def _unpacked(answer: Answer) -> bytes:
    packed = answer.headers.get("content-encoding") == "gzip"
    return gzip.decompress(answer.content) if packed else answer.content


def _rows(expected: Sequence[str], *, ordered: bool = True) -> Any:
    """Exactly these studies, in this order where order is promised."""

    def judge(_number: int, answers: Sequence[Answer]) -> bool:
        found = _uids(answers, UIDS["study"])
        return found == list(expected) if ordered else sorted(found) == sorted(expected)

    return judge


def _count(expected: int) -> Any:
    """So many different studies; a site that is asked directly chooses them as it likes."""

    def judge(_number: int, answers: Sequence[Answer]) -> bool:
        return len(set(_uids(answers, UIDS["study"]))) == expected

    return judge


def _metadata(_number: int, answers: Sequence[Answer]) -> bool:
    return sorted(_uids(answers, UIDS["instance"])) == sorted(map(CT.instance_uid, range(SLICES)))


def _one_part(expected: Sequence[bytes]) -> Any:
    """One part with exactly the bytes of slice `number`, and the closing boundary after it."""

    def judge(number: int, answers: Sequence[Answer]) -> bool:
        answer, wanted = answers[0], expected[number]
        at = answer.body.find(b"\r\n\r\n") + 4
        end = at + len(wanted)
        closed = answer.body[end : answer.length].rstrip() == b"\r\n" + _closing(answer)
        return answer.body.startswith(wanted, at) and closed

    return judge


def _whole_study(_number: int, answers: Sequence[Answer]) -> bool:
    """As long as all files with their part headers are, and ended by the closing boundary."""
    answer = answers[0]
    closing = _closing(answer)
    files = sum(len(file) for file in CT.files)
    framing = answer.length - files - len(closing)
    ended = answer.tail.rstrip().endswith(closing)
    # Each part costs its delimiter and the same few header lines; a lost part costs 524 KB.
    return ended and SLICES * len(closing) < framing < SLICES * 300


def _closing(answer: Answer) -> bytes:
    found = re.search(r'boundary="?([^";]+)', answer.headers.get("content-type", ""))
    return b"--" + (found[1] if found else "").encode() + b"--"


def check_whole_study(servers: Servers) -> None:
    """Compare every file of the CT byte by byte, from Orthanc and from the gateway; raises Broken.

    Done once, before the rounds: timed retrieves are judged by their length and their end.
    """
    site = servers.orthancs[0]
    for port, auth in ((site.http_port, site.auth), (servers.gateway.port, None)):
        url = f"http://127.0.0.1:{port}/dicom-web/studies/{CT.study_uid}"
        accept = dict([ANY_DICOM.strip().split(": ", 1)])
        answer = requests.get(url, headers=accept, auth=auth, timeout=60)
        found = re.search('boundary="?([^";]+)', answer.headers["Content-Type"])
        delimiter = b"\r\n--" + (found[1] if found else "").encode()
        *parts, end = (b"\r\n" + answer.content).split(delimiter)[1:]
        files = {part.partition(b"\r\n\r\n")[2] for part in parts}
        if files != set(CT.files) or len(parts) != SLICES or end.strip() != b"--":
            raise Broken("a study did not come back as it was stored")
