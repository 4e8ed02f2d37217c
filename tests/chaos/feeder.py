"""Hospitals at work: studies arrive all the time, some of them in two parts, at servers that fall.

Like a modality the feeder tries again until its image is acknowledged.
"""

import hashlib
import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import requests

from gateway.demo.servers import OrthancServer
from tests.chaos.oracle import Fed
from tests.studies import ROOT, Instance, a_study

FIRST = 20_000
AGAIN_S = 0.2
LATE, HELD, DELETED = 0.25, 0.1, 0.5  # shares of the studies, of the held ones
KINDS = {"травма": 0.2, "скрининг": 0.3, "КТ грудной клетки": 0.5}
"""Study description -> share; the rules take them as emergency, bulk and routine."""


@dataclass
class _Later:
    at: float
    server: OrthancServer
    images: Sequence[Instance]


class Feeder(threading.Thread):
    """Stores so many studies at the hospitals within about so many seconds."""

    def __init__(
        self, servers: Sequence[OrthancServer], studies: int, seconds: float, seed: int
    ) -> None:
        super().__init__(name="feeder", daemon=True)
        self.fed = Fed()
        self._servers, self._studies = servers, studies
        self._rest_s = seconds / studies
        self._chance = random.Random(seed)  # noqa: S311 - the same studies at each run
        self._later: list[_Later] = []
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            for number in range(FIRST, FIRST + self._studies):
                self._arrive(number)
                self._follow_up(time.monotonic())
                time.sleep(self._chance.uniform(0, 2 * self._rest_s))
            self._follow_up(float("inf"))
        except BaseException as error:
            self.problem = error
            raise

    def _arrive(self, number: int) -> None:
        server = self._chance.choice(self._servers)
        series = [self._chance.randint(1, 4) for _ in range(self._chance.randint(1, 2))]
        if self._chance.random() < HELD:
            held = a_study(number, series, Modality="MG")
            self._store(server, held, self.fed.held)
            if self._chance.random() < DELETED:
                self._later.append(_Later(time.monotonic() + 10, server, held))
            return
        (kind,) = self._chance.choices(list(KINDS), list(KINDS.values()))
        images = a_study(number, [*series, 1], StudyDescription=kind)
        if self._chance.random() < LATE:
            self._later.append(
                _Later(time.monotonic() + self._chance.uniform(1, 12), server, images[-1:])
            )
            images = images[:-1]
        self._store(server, images, self.fed.sent)

    def _follow_up(self, now: float) -> None:
        for one in [later for later in self._later if later.at <= now]:
            self._later.remove(one)
            if one.images[0].study_uid in self.fed.held:
                self._remove(one.server, one.images[0].study_uid)
            else:
                self._store(one.server, one.images, self.fed.sent)

    def _store(
        self, server: OrthancServer, images: Sequence[Instance], into: dict[str, dict[str, str]]
    ) -> None:
        for image in images:
            while not _posted(server, image.data):
                time.sleep(AGAIN_S)
            md5 = hashlib.md5(image.data, usedforsecurity=False).hexdigest()
            into.setdefault(image.study_uid, {})[image.instance_uid] = md5

    def _remove(self, server: OrthancServer, study_uid: str) -> None:
        assert study_uid.startswith(ROOT)
        self.fed.deleted.add(study_uid)
        with suppress(requests.RequestException):
            found = requests.post(
                f"{server.url}/tools/lookup", data=study_uid, auth=server.auth, timeout=20
            ).json()
            for one in found:
                requests.delete(server.url + one["Path"], auth=server.auth, timeout=20)


def _posted(server: OrthancServer, data: bytes) -> bool:
    try:
        answer = requests.post(f"{server.url}/instances", data=data, auth=server.auth, timeout=20)
    except requests.RequestException:
        return False
    return answer.ok
