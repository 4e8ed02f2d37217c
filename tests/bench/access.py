"""`python -m tests.bench.access`: what a decision and a token cost, and whether images suffer from
a storm of sign-ins. One web process, SQLite, a hospital that makes its images while it sends them.
"""

import multiprocessing
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from types import SimpleNamespace

import click
import requests

from gateway.bootstrap import open_migrated
from gateway.clock import utc_now
from gateway.demo.servers import Program, answers, free_port
from gateway.model.access import Action, Actor, Duty, Purpose, Reach, Role, allow, at
from gateway.model.tokens import new_key
from gateway.records.clients import add_client, save_signing_key
from gateway.records.keyring import make_keyring
from gateway.settings import load_settings
from gateway.web import create_app
from gateway.web.identity import Identity
from tests.running import RunningGateway, start_gateway
from tests.web.rows import ROWS
from tests.web.signing_in import login_gateway
from tests.web.test_oauth import basic

Line = tuple[str, str, str]  # what was measured, what came out, the target
SITE, IMAGE = "gkb1", "/studies/1.2.1.512/series/1.2.1.512.1/instances/1.2.1.512.1.1"  # 512 KB
STORM, CALLERS = 200, 50  # a second, from so many connections


def times_ms(work: Callable[[], object], rounds: int) -> list[float]:
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        found.append((time.perf_counter() - begun) * 1000)
    return found


def told(name: str, found: list[float], target: str) -> Line:
    p95 = quantiles(found, n=20)[-1]
    return name, f"{median(found):.4f} ms, p95 {p95:.4f} ms", target


def decisions(rounds: int) -> Line:
    """A doctor of five hospitals with a grant; every third question lies outside."""
    duties = [Duty(Role.DOCTOR, Reach(frozenset({f"s{n}"})), True) for n in range(5)]
    duties.append(Duty(Role.EXPERT, Reach(None, frozenset({"1.2.3"}))))
    actor = Actor("a1", tuple(duties), Purpose.OPERATIONS)
    asked = [
        (Action.SEARCH, at(None)),
        (Action.RETRIEVE, at("s4", "1.2.3")),
        (Action.STORE, at("x")),
    ]
    turn = count()
    return told(
        "policy decision",
        times_ms(lambda: allow(actor, *asked[next(turn) % 3]), rounds),
        "p95 ≤ 0.05 ms",
    )


def tokens(folder: Path, rounds: int) -> list[Line]:
    """A request that comes again within two seconds, and one whose token is looked at anew."""
    with login_gateway(folder, ROWS) as (gateway, _):
        app = create_app(gateway)
        client_id, secret = add_client(gateway.records, "x", SITE, utc_now())
        form = {"grant_type": "client_credentials"}
        answer = app.test_client().post("/oauth/token", data=form, headers=basic(client_id, secret))
        token = answer.get_json()["access_token"]
        identity = Identity(gateway)
        with app.test_request_context(headers={"Authorization": f"Bearer {token}"}):
            again = times_ms(identity, rounds)

            def anew() -> None:
                identity.forget(token)
                identity()

            fresh = times_ms(anew, rounds // 10)
    return [
        told("token check", again, "≤ 0.3 ms"),
        told("token check, the database asked anew", fresh, "each 2 s"),
    ]


def storm(port: int, path: str, seconds: float) -> None:
    """STORM requests a second: sign-ins of nobody from everywhere, or life signs."""
    url, turn = f"http://127.0.0.1:{port}", count()
    page = requests.get(url + "/login", timeout=60)
    (mark,) = re.findall(r'name="csrf_token" type="hidden" value="([^"]+)"', page.text)[:1]
    until = time.monotonic() + seconds

    def call() -> None:
        with requests.Session() as session:
            session.cookies.update(page.cookies)
            while (begun := time.monotonic()) < until:
                n = next(turn)
                form = {"csrf_token": mark, "login": f"u{n}", "password": "x" * 20}
                where = {"Origin": url, "X-Real-IP": f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"}
                if path == "/login":
                    session.post(url + path, form | {"purpose": "TREAT"}, headers=where, timeout=60)
                else:
                    session.get(url + path, timeout=60)
                time.sleep(max(0.0, begun + CALLERS / STORM - time.monotonic()))

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()


def images(gateway: RunningGateway, headers: dict[str, str], seconds: float) -> list[float]:
    """How long one image takes, one after the other."""
    found, until = [], time.monotonic() + seconds
    with requests.Session() as session:

        def fetch() -> None:
            answer = session.get(gateway.dicomweb + IMAGE, headers=headers, timeout=60)
            assert len(answer.content) > 512 * 1024, answer.status_code

        fetch()
        while time.monotonic() < until:
            found += times_ms(fetch, 1)
    return found


def storms(folder: Path, seconds: float) -> list[Line]:
    port, gateway_port = free_port(), free_port()
    settings = load_settings({}, state_dir=folder / "state")
    keyring, records = make_keyring(settings.keyring_file), open_migrated(settings)
    kid, private, public = new_key()
    save_signing_key(records, kid, keyring.seal(private), public, utc_now())
    proof = add_client(records, "x", SITE, utc_now())
    records.close()
    site = Program(
        "endless", [sys.executable, "-m", "tests.faults.endless_site", str(port)],
        folder / "site.log", ready=lambda: answers(port, "/dicom-web/studies"),
    ).start()  # fmt: skip
    servers = {SITE: SimpleNamespace(username="u", password="p")}
    gateway = start_gateway(
        folder, {SITE: f"http://127.0.0.1:{port}"}, servers, home=SITE, port=gateway_port,
        settings={"GATEWAY_ACCESS": "login"}, more='kind = "dicomweb"\n',
    )  # fmt: skip
    form = {"grant_type": "client_credentials"}
    answer = requests.post(f"{gateway.url}/oauth/token", form, auth=proof, timeout=60)
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    headers["Accept"] = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    try:
        lines = [told("an image of 512 KB, calm", images(gateway, headers, seconds), "")]
        for path in ("/healthz", "/login"):
            with_others = multiprocessing.Process(target=storm, args=(gateway_port, path, seconds))
            with_others.start()
            time.sleep(1)
            found = images(gateway, headers, seconds - 2)
            with_others.join()
            lines.append(told(f"the same under {STORM}/s of {path}", found, "as under /healthz"))
    finally:
        gateway.program.stop()
        site.stop()
    return lines


@click.command()
@click.option("--quick", is_flag=True)
def main(quick: bool) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("tokens", "storm"):
            (folder / part).mkdir()
        lines = [decisions(20_000), *tokens(folder / "tokens", 5000)]
        lines += storms(folder / "storm", 5 if quick else 15)
    print("| what | median, p95 | target |\n|---|---|---|")
    for line in lines:
        print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    main()
