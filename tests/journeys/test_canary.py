"""A patient who must turn up nowhere, and secrets that nobody is told: through every flow, then
looked for in logs, Redis, metrics, messages and files left behind (trust.md H69, H70).

The index and the images are where they belong, and are not looked at.
"""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pyotp
import pytest
import requests
from redis import Redis

from gateway.clock import utc_now
from gateway.demo.servers import REPOSITORY, OrthancServer, Program, RedisServer, answers, free_port
from gateway.model.deliveries import State
from gateway.model.routing.document import parse_rule_set
from gateway.records.alarms import load_alarms
from gateway.records.delivery_desk import load_story
from gateway.records.engine import Records, open_records
from gateway.records.rules import activate, save_version
from tests.chaosproxy import ChaosProxy, only, says
from tests.mailserver import Hook, Post, run_hook, run_mail_server
from tests.running import load, region_toml
from tests.studies import Instance, a_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real
WAIT_S = 120
NAME, PATIENT, ACCESSION = "ЗЗКАНАРЕЙКА^ТЕСТ", "ZZCANARY-4711", "ACCCANARY-4711"
BORN, DOCTOR = "18990203", "ЗЗВРАЧЕВ^КАНАРЕЙКИН"
STUDY = 4711
HOOK_KEY = "canary-key-of-the-webhook"
PASSWORD = "пароль канарейки 4711"
REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrefused"
FAILED = {State.RETRY_WAIT, State.BLOCKED, State.PARKED}
KEYS = ("gateway.key", "redis.conf")  # where secrets belong
CLIENT = ("client_id", "client_secret")
RULES = """
site: gkb1
rules:
  - id: refused
    name: Не примут
    state: active
    when: {all: [{field: StudyDescription, op: contains, value: откажут}]}
    then: [{do: send, target: broken}, {do: notify, list: duty}]
    schedule: {lane: emergency}
    stop: true
  - id: all
    name: Всё в архив
    state: active
    trigger: {quiet_s: 1}
    when: {any: [{field: PatientName, op: contains, value: канарейка},
                 {field: PatientID, op: contains, value: ZZ}]}
    then: [{do: send, target: archive}, {do: notify, list: duty}]
otherwise: [{do: hold, reason: нет правила}]
"""
MORE = """
[[notify]]
id = "duty"
mail = ["duty@region.example"]
alarms = true
webhook = "{hook}"
webhook_key_file = "hook.key"
[[destination]]
id = "broken"
name_ru = "Сломанный"
name_en = "Broken"
kind = "dicomweb"
url = "{broken}/dicom-web"
"""


@dataclass
class Region:
    """Everything that runs, and every place where a trace may be left."""

    folder: Path
    records: Records
    redis: RedisServer
    hospital: OrthancServer
    environ: dict[str, str]
    hook: Hook
    post: Post
    port: int = field(default_factory=free_port)
    programs: list[Program] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def start(self, *words: str, **options: object) -> Program:
        name = f"{'-'.join(words[:3]).replace('--', '')}-{len(self.programs)}"
        command = [sys.executable, "-m", "gateway.cli", *words]
        program = Program(
            name, command, self.folder / "logs" / f"{name}.log", folder=self.folder,
            environ=self.environ, **options,
        )  # fmt: skip
        self.programs.append(program)
        return program.start()

    def command(self, *words: str) -> str:
        """What a command of the gateway says; kept among the traces."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", *words], cwd=self.folder,
            env=os.environ | self.environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        self.told.append(done.stderr)
        return done.stdout

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self) -> dict[str, str]:
        told = self.command("clients", "add", "Просмотр", "--site", "*")
        client_id, secret = (re.findall(rf"{what}=(\S+)", told)[0] for what in CLIENT)
        self.secrets.append(secret)
        answer = requests.post(
            f"{self.url}/oauth/token", {"grant_type": "client_credentials"},
            auth=(client_id, secret), timeout=30,
        )  # fmt: skip
        token = answer.json()["access_token"]
        self.secrets.append(token)
        return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def region(start_orthanc, tmp_path_factory) -> Iterator[Region]:
    """A hospital, an archive, one that refuses everything, and all programs of the gateway."""
    folder = tmp_path_factory.mktemp("region")
    (folder / "temp").mkdir()
    hospital, archive = start_orthanc("gkb1"), start_orthanc("archive")
    servers = {"gkb1": hospital, "archive": archive}
    post = Post()
    with (
        run_hook() as hook,
        ChaosProxy(archive.http_port) as broken,
        RedisServer(folder / "redis", free_port(), password="canary-of-redis") as redis,
        run_mail_server(post) as mail_port,
    ):
        broken.fault = only("POST", says(REFUSED))
        urls = {"gkb1": hospital.url, "archive": archive.url}
        text = region_toml(urls, servers, "gkb1") + MORE.format(hook=hook.url, broken=broken.url)
        egress = [part.removeprefix("http://").split("/")[0] for part in (hook.url, broken.url)]
        text = text.replace("home_site", f"egress = {json.dumps(egress)}\nhome_site", 1)
        (folder / "region.toml").write_text(text, encoding="utf-8")
        (folder / "hook.key").write_text(HOOK_KEY)
        for site_id, server in servers.items():
            (folder / f"{site_id}.password").write_text(server.password)
        environ = {
            "GATEWAY_ACCESS": "login", "GATEWAY_STATE_DIR": str(folder / "state"),
            "GATEWAY_REDIS_URL": redis.url, "GATEWAY_FOLLOW_EVERY_S": "0.5",
            "GATEWAY_LOG_LEVEL": "DEBUG", "GATEWAY_SMTP_HOST": "127.0.0.1",
            "GATEWAY_SMTP_PORT": str(mail_port), "GATEWAY_MAIL_FROM": "gateway@region.example",
            "GATEWAY_SMTP_SECURITY": "none", "TMPDIR": str(folder / "temp"),
            "PYTHONPATH": str(REPOSITORY),
        }  # fmt: skip
        records = open_records(f"sqlite:///{folder / 'state' / 'gateway.db'}")
        running = Region(folder, records, redis, hospital, environ, hook, post)
        running.secrets += [hospital.password, archive.password, "canary-of-redis", PASSWORD]
        running.secrets.append(HOOK_KEY)
        admin = running.command("init")
        running.secrets += re.findall(r"one-time password: (\S+)", admin)
        running.start(
            "web", f"--port={running.port}", ready=lambda: answers(running.port, "/healthz")
        )
        running.start("keeper")
        for queue in ("emergency", "routine", "verify"):
            running.start("worker", "--queue", queue)
        yield running
        for program in reversed(running.programs):
            program.kill()
        records.close()


def canaries(study: int, **elements: object) -> list[Instance]:
    return a_study(
        study, (2,), PatientName=NAME, PatientID=PATIENT, AccessionNumber=ACCESSION,
        PatientBirthDate=BORN, ReferringPhysicianName=DOCTOR, **elements,
    )  # fmt: skip


def forms(secret: str) -> list[bytes]:
    """How a text may stand in a file, a log or a queue."""
    plain = secret.encode()
    told = [plain, secret.lower().encode(), quote(secret).encode(), quote(secret, safe="").encode()]
    told += [json.dumps(secret).strip('"').encode(), base64.b64encode(plain).rstrip(b"=")[:-1]]
    for charset in ("cp1251", "iso8859_5", "koi8_r", "utf-16-le"):
        told.append(secret.encode(charset))
    return told


def store(region: Region, login: dict[str, str], study: list[Instance]) -> requests.Response:
    told = b"".join(
        b"--b\r\nContent-Type: application/dicom\r\n\r\n" + one.data + b"\r\n" for one in study
    )
    kind = 'multipart/related; type="application/dicom"; boundary=b'
    return requests.post(
        f"{region.url}/dicom-web/studies", told + b"--b--\r\n",
        headers=login | {"Content-Type": kind, "Accept": "application/dicom+json"}, timeout=60,
    )  # fmt: skip


def states(region: Region, study: list[Instance]) -> set[State]:
    story = load_story(region.records, study[0].study_uid)
    return {one.shown.state for one in story.deliveries}


def sign_in(region: Region) -> requests.Session:
    """A person of the hospital's IT, after a wrong password."""
    login = "itkanareika"
    told = region.command("users", "add", login, "--role", "hospital_it@gkb1")
    once = re.findall(r"one-time password: (\S+)", told)[0]
    region.secrets.append(once)
    browser = requests.Session()
    browser.headers["Origin"] = region.url

    def fill(page: requests.Response, **fields: str) -> requests.Response:
        (action,) = re.findall(r'<form method="post" action="([^"]+)"', page.text)
        hidden = re.findall(
            r'<input[^>]*name="([^"]+)"[^>]*type="hidden"[^>]*value="([^"]*)"', page.text
        )
        told = {name: unescape(value) for name, value in hidden} | fields
        return browser.post(region.url + action, told, timeout=60)

    page = browser.get(f"{region.url}/login", timeout=60)
    fill(page, login=NAME, password=PASSWORD, purpose="TREAT")
    fill(page, login=login, password=PASSWORD, purpose="TREAT")
    page = fill(page, login=login, password=once, purpose="TREAT")
    page = fill(page, password=PASSWORD, again=PASSWORD)
    totp = re.findall(r"secret=([A-Z2-7]+)", page.text)[0]
    region.secrets.append(totp)
    page = fill(page, code=pyotp.TOTP(totp).now())
    assert browser.get(f"{region.url}/console/", timeout=60).status_code == 200
    region.secrets += [cookie.value for cookie in browser.cookies if cookie.value]
    return browser


def look_around(region: Region, login: dict[str, str], study: list[Instance]) -> None:
    """Every kind of question about a study, right and wrong ones."""
    root, one = f"{region.url}/dicom-web", study[0]
    series = f"/studies/{one.study_uid}/series/{one.series_uid}"
    instance = f"{series}/instances/{one.instance_uid}"
    keys = {"PatientName": NAME, "PatientID": PATIENT, "AccessionNumber": ACCESSION,
            "PatientBirthDate": BORN, "ReferringPhysicianName": DOCTOR}  # fmt: skip
    for key, value in keys.items():
        for path, more in (
            ("/studies", {}), ("/studies", {"limit": PATIENT}), ("/studies", {PATIENT: NAME}),
            ("/series", {}), ("/instances", {}), (f"/{NAME}", {}), (f"/studies/{PATIENT}", {}),
        ):  # fmt: skip
            asked = {key: value} | more
            requests.get(root + path, asked, headers=login, timeout=60)
    requests.get(f"{region.url}/wado", {"studyUID": PATIENT, "x": NAME}, headers=login, timeout=60)
    requests.get(f"{region.url}/login?back=/viewer/?p={quote(NAME)}", timeout=60)
    requests.get(root + "/studies", headers={"Authorization": f"Bearer {PATIENT}"}, timeout=60)
    for path, accept in (
        (f"/studies/{one.study_uid}", ""), (f"/studies/{one.study_uid}", "application/zip"),
        (f"/studies/{one.study_uid}/metadata", ""), (series, ""), (f"{series}/metadata", ""),
        (instance, "application/dicom"), (f"{instance}/metadata", ""), (f"{instance}/frames/1", ""),
        (f"{instance}/rendered", ""), (f"{instance}/thumbnail", ""), (instance, NAME.encode()),
        (f"{instance}/frames/99", ""), (f"{instance}/bulkdata/{PATIENT}", ""),
    ):  # fmt: skip
        headers = login | ({"Accept": accept} if accept else {})
        requests.get(root + path, headers=headers, timeout=60)


def traces(region: Region) -> dict[str, bytes]:
    """All that is left where nothing of a patient belongs."""
    found = {
        str(path.relative_to(region.folder)): path.read_bytes()
        for folder in ("logs", "temp", "state", "redis")
        for path in sorted((region.folder / folder).rglob("*"))
        if path.is_file() and not path.name.startswith("gateway.db") and path.name not in KEYS
    }
    with Redis.from_url(region.redis.url) as client:
        for key in client.scan_iter():
            found[f"redis {key.decode()}"] = key + (client.dump(key) or b"")
    found |= {f"command {n}": told.encode() for n, told in enumerate(region.told)}
    found |= {f"webhook {n}": repr(got).encode() for n, got in enumerate(region.hook.got)}
    found |= {f"mail {n}": mail.as_bytes() for n, mail in enumerate(region.post.mails)}
    alarms = [
        json.dumps(dict(one.facts), ensure_ascii=False) for one in load_alarms(region.records)
    ]
    found |= {f"alarm {n}": told.encode() for n, told in enumerate(alarms)}
    for pid in [program.pid for program in region.programs]:
        found[f"arguments of {pid}"] = Path(f"/proc/{pid}/cmdline").read_bytes()
    return found


def test_a_patient_and_a_secret_turn_up_nowhere(region: Region) -> None:
    login = region.token()
    rule_set, mistakes = parse_rule_set(RULES)
    assert rule_set is not None, mistakes
    now = utc_now()
    number = save_version(region.records, rule_set, "tests", "first", 0, now)
    activate(region.records, "gkb1", number, now, "tests", now)

    here, there = canaries(STUDY), canaries(STUDY + 1, StudyDescription="Там откажут")
    load(region.hospital, here)
    assert store(region, login, there).status_code == 200
    wait_until(lambda: states(region, here) == {State.DELIVERED}, WAIT_S, "the archive's proof")
    wait_until(lambda: states(region, there) & FAILED, WAIT_S, "a refusal to be shown")
    # Another patient under the same UIDs, other content under the same UID, and no DICOM at all.
    store(region, login, canaries(STUDY, StudyDescription="Иначе"))
    store(region, login, a_study(STUDY, (2,), PatientName="ДРУГОЙ^ПАЦИЕНТ", PatientID="OTHER"))
    torn = [Instance(one.study_uid, "", "", b"", one.data[:-100]) for one in here]
    store(region, login, torn)

    look_around(region, login, here)
    browser = sign_in(region)
    for path in ("", "deliveries", "arrivals", "destinations", "sites", "alarms", "rules",
                 f"studies/{here[0].study_uid}", f"studies/{here[0].study_uid}/why?site=gkb1",
                 f"studies/{quote(NAME)}", f"deliveries?q={PATIENT}"):  # fmt: skip
        browser.get(f"{region.url}/console/{path}", timeout=60)
    region.command("rules", "explain", here[0].study_uid)
    region.command("deliveries", "show", there[0].study_uid)
    region.hospital.kill()  # a silent site is told of, and what was asked of it is not
    look_around(region, login, here)
    region.told.append(requests.get(f"{region.url}/metrics", timeout=60).text)
    wait_until(lambda: region.hook.got and region.post.mails, WAIT_S, "a message to be sent")

    found = traces(region)
    assert len([name for name in found if name.startswith("logs/")]) >= 5
    assert any(b"request failed" in content for content in found.values())
    uids = [here[0].study_uid.encode(), there[0].study_uid.encode()]
    logs = [content for name, content in found.items() if name.startswith("logs/")]
    assert not any(uid in content for uid in uids for content in logs)
    named = region.command("log-name", here[0].study_uid).strip()
    assert any(named.encode() in content for content in logs)
    assert region.command("log-name", named).strip() == here[0].study_uid
    patient = [NAME, NAME.replace("^", " "), "ЗЗКАНАРЕЙКА", PATIENT, ACCESSION, BORN, DOCTOR]
    told = {
        (name, word)
        for word in patient + region.secrets
        for name, content in found.items()
        if any(form in content for form in forms(word))
    }
    assert told == set()
