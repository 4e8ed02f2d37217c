"""`.ci/audit`: red for a hole, green without one, and honest where no advisory can be had."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOLE = {
    "id": "GHSA-test", "summary": "a hole", "details": "", "aliases": [],
    "affected": [
        {
            "package": {"name": "leaky", "ecosystem": "PyPI"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.5"}]}
            ],
        }
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def advisories() -> Iterator[str]:
    """An OSV service that knows of one hole, in leaky below 1.5."""

    class Osv(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = asked["package"]["name"] == "leaky" and asked["version"] < "1.5"
            body = json.dumps({"vulns": [HOLE]} if known else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Osv)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    thread.join()
    server.server_close()


def audited(lock: Path, url: str, *pins: str, **environ: str) -> tuple[int, str]:
    lock.write_text("\n".join(pins))
    done = subprocess.run(
        [ROOT / ".ci/audit", lock],
        env=os.environ | {"OSV_URL": url} | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_known_hole_is_named_and_fails(advisories: str, tmp_path: Path) -> None:
    status, told = audited(tmp_path / "lock", advisories, "leaky==1.4", "sound==2.0")
    assert (status, "leaky 1.4: GHSA-test, 1.5" in told) == (1, True)


def test_without_one_it_passes(advisories: str, tmp_path: Path) -> None:
    status, told = audited(tmp_path / "lock", advisories, "leaky==1.5", "sound==2.0")
    assert (status, "holes: 0" in told) == (0, True)


@pytest.mark.parametrize(("strict", "status"), [("0", 0), ("1", 1)])
def test_where_nobody_answers_nothing_is_judged_and_that_is_said(
    tmp_path: Path, strict: str, status: int
) -> None:
    found = audited(tmp_path / "lock", "http://127.0.0.1:1/v1/query", "leaky==1.4", STRICT=strict)
    assert (found[0], "nothing judged" in found[1]) == (status, True)


@pytest.mark.parametrize(("strict", "status"), [("0", 0), ("1", 1)])
def test_a_package_that_cannot_be_judged_is_named(
    advisories: str, tmp_path: Path, strict: str, status: int
) -> None:
    pins = ("sound==2.0", "odd @ https://example.invalid/odd-1.0.tar.gz")
    found, told = audited(tmp_path / "lock", advisories, *pins, STRICT=strict)
    assert (found, "not judged: odd" in told, "packages: 1, " in told) == (status, True, True)
