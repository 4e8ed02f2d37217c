"""The oracle: whether every image is where the rules send it, and whether the rows are true.

It shares nothing with the gateway but the names of tables: it reads the files themselves from each
Orthanc by REST, hashes them, and asks the database in its own SQL.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import requests
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from gateway.demo.servers import OrthancServer

READERS = 4
ARCHIVE = "archive"
COUNTED = """
SELECT study_uid FROM delivery UNION SELECT study_uid FROM arrival
WHERE state IN ('held', 'dropped', 'exempt', 'gone') AND reason <> ''
"""


@dataclass
class Fed:
    """What was given to the hospitals, and acknowledged: study UID -> SOP UID -> MD5.

    sent  must reach the archive; held must not, by the rules
    """

    sent: dict[str, dict[str, str]] = field(default_factory=dict)
    held: dict[str, dict[str, str]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)


def open_database(url: str) -> sa.Engine:
    """A look of the oracle's own into the rows."""
    parsed = sa.make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        return sa.create_engine(parsed, pool_pre_ping=True)
    # SQLite lets nobody read while what a killed process left is set right.
    return sa.create_engine(parsed, connect_args={"timeout": 60})


def judge(
    database: sa.Engine, hospitals: Iterable[OrthancServer], archive: OrthancServer, fed: Fed
) -> list[str]:
    """Everything that is lost, falsely delivered, of wrong content or uncounted; [] if nothing."""
    there = contents(archive)
    here = {uid: md5 for server in hospitals for uid, md5 in contents(server).items()}
    told = {uid: md5 for images in (*fed.sent.values(), *fed.held.values())
            for uid, md5 in images.items()}  # fmt: skip
    wrong = [f"{uid}: the hospital has another content" for uid in here if here[uid] != told[uid]]
    wrong += [f"{uid}: the archive has it, nobody gave it" for uid in there.keys() - told.keys()]
    wrong += [
        f"{uid}: wrong content" for uid in there.keys() & told.keys() if there[uid] != told[uid]
    ]
    for study_uid, images in fed.sent.items():
        wrong += [f"{uid}: the hospital lost it" for uid in images if uid not in here]
        wrong += [f"{uid}: lost on its way ({study_uid})" for uid in images if uid not in there]
    for images in fed.held.values():
        wrong += [f"{uid}: was to be held" for uid in images if uid in there]
    return wrong + _false_rows(database, fed, set(there)) + _uncounted(database, fed)


def contents(server: OrthancServer) -> dict[str, str]:
    """SOP instance UID -> MD5 of the file as the server hands it out."""
    with requests.Session() as session, ThreadPoolExecutor(READERS) as pool:
        session.auth = server.auth
        listed = session.get(f"{server.url}/instances?expand", timeout=60)
        listed.raise_for_status()

        def md5_of(orthanc_id: str) -> str:
            answer = session.get(f"{server.url}/instances/{orthanc_id}/file", timeout=60)
            answer.raise_for_status()
            return hashlib.md5(answer.content, usedforsecurity=False).hexdigest()

        rows = listed.json()
        hashes = pool.map(md5_of, [row["ID"] for row in rows])
        names = [row["MainDicomTags"]["SOPInstanceUID"] for row in rows]
        return dict(zip(names, hashes, strict=True))


def _false_rows(database: sa.Engine, fed: Fed, there: set[str]) -> list[str]:
    """Rows that say `delivered`, of more than lies there; studies without a last such row."""
    wrong, delivered = [], Counter[str]()
    for study_uid, state, count in _rows(
        database, "SELECT study_uid, state, instance_count FROM delivery"
    ):
        if state != "delivered":
            continue
        delivered[study_uid] = max(delivered[study_uid], count)
        lies = sum(uid in there for uid in fed.sent.get(study_uid, ()))
        if count > lies:
            wrong.append(f"{study_uid}: falsely delivered, {lies} of {count}")
    return wrong + [
        f"{study_uid}: {delivered[study_uid]} of {len(images)} are told to be delivered"
        for study_uid, images in fed.sent.items()
        if delivered[study_uid] != len(images)
    ]


def _uncounted(database: sa.Engine, fed: Fed) -> list[str]:
    """Arrivals without a delivery or a reason."""
    counted = {uid for (uid,) in _rows(database, COUNTED)}
    everything = {*fed.sent, *fed.held} - fed.deleted
    return [f"{uid}: neither a delivery nor a reason" for uid in everything - counted]


def unsettled(database: sa.Engine, fed: Fed) -> dict[str, str]:
    """Studies whose newest row does not say yet that all of them is delivered, with its state, and
    those of which no row says anything."""
    newest: dict[str, tuple[str, int]] = {}
    for study_uid, state, count in _rows(
        database, "SELECT study_uid, state, instance_count FROM delivery ORDER BY epoch"
    ):
        newest[study_uid] = state, count
    silent = dict.fromkeys(_uncounted(database, fed), "no row")
    return silent | {
        uid: newest.get(uid, ("no row", 0))[0]
        for uid, images in fed.sent.items()
        if newest.get(uid) != ("delivered", len(images))
    }


class Watch:
    """Looks at what is new among the delivered, while all goes on: the archive loses nothing, so
    a row that is true now stays true, and one that is false now may look true later.

    wrong  the rows that were false at the moment of a look
    """

    def __init__(self, database: sa.Engine, archive: OrthancServer) -> None:
        self._database, self._archive = database, archive
        self._seen: set[str] = set()
        self.wrong: list[str] = []
        self.looked = 0

    def look(self) -> None:
        """Look at what has come since the last time. What a server that is away, or slow, does not
        answer is seen by the next look.
        """
        with suppress(SQLAlchemyError, requests.RequestException):
            self._look()

    def _look(self) -> None:
        for delivery_id, study_uid, count in _rows(
            self._database,
            "SELECT delivery_id, study_uid, instance_count FROM delivery WHERE state = 'delivered'",
        ):
            if delivery_id in self._seen:
                continue
            query = {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}}
            answer = requests.post(
                f"{self._archive.url}/tools/find", json=query, auth=self._archive.auth, timeout=10
            )
            answer.raise_for_status()
            if len(answer.json()) < count:
                self.wrong.append(
                    f"{study_uid}: said delivered while {len(answer.json())} of {count}"
                )
            self._seen.add(delivery_id)
            self.looked += 1


def _rows(database: sa.Engine, question: str) -> list[Any]:
    with database.connect() as connection:
        return list(connection.execute(sa.text(question)).all())


def tally(database: sa.Engine) -> Mapping[str, int]:
    """How often what happened to deliveries, for the report."""
    question = "SELECT event, '', count(*) FROM delivery_event GROUP BY event"
    return {event: count for event, _, count in _rows(database, question)}
