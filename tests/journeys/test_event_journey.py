"""The bell: images arrive at a real Orthanc, its plugin rings, the gateway has it on record."""

from pathlib import Path

import pytest
import requests
import sqlalchemy as sa

from gateway.demo.servers import free_port
from gateway.records.engine import open_records
from gateway.records.events import site_event
from tests.conftest import StartOrthanc
from tests.running import load, start_gateway
from tests.studies import a_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real
KEY = "a key of at least sixteen letters"


def test_arrival_rings_the_gateway(
    orthanc_generation: str, start_orthanc: StartOrthanc, tmp_path: Path
) -> None:
    port = free_port()
    key_file = tmp_path / "event.key"
    key_file.write_text(KEY)
    bell = {"Url": f"http://127.0.0.1:{port}/events", "Site": "gkb1", "KeyFile": str(key_file)}
    server = start_orthanc(
        "gkb1", generation=orthanc_generation, settings={"GatewayBell": bell, "StableAge": 1}
    )
    gateway = start_gateway(
        tmp_path,
        {"gkb1": server.url},
        {"gkb1": server},
        home="gkb1",
        port=port,
        more=f'event_key_file = "{key_file}"\n',
    )
    try:
        study = a_study(1, (3,))
        load(server, study)
        records = open_records(f"sqlite:///{tmp_path}/state/gateway.db")

        def told() -> dict[str, int]:
            with records.read() as connection:
                rows = connection.execute(sa.select(site_event)).mappings().all()
            return {
                name: sum(row["count"] for row in rows if row["event"] == name)
                for name in {row["event"] for row in rows}
            }

        wait_until(lambda: "StableStudy" in told(), 30, "the event of a stable study")
        assert told()["NewInstance"] == len(study)
        records.close()
    finally:
        gateway.program.stop()


@pytest.mark.parametrize("headers", [{}, {"X-Gateway-Site": "gkb1", "X-Gateway-Signature": "v1=0"}])
def test_an_event_that_is_not_signed_is_refused(
    start_orthanc: StartOrthanc, tmp_path: Path, headers: dict[str, str]
) -> None:
    server = start_orthanc("gkb1")
    gateway = start_gateway(tmp_path, {"gkb1": server.url}, {"gkb1": server}, home="gkb1")
    try:
        answer = requests.post(gateway.url + "/events", data=b"{}", headers=headers, timeout=10)
        assert (answer.status_code, answer.headers["Content-Type"]) == (
            401,
            "application/problem+json",
        )
    finally:
        gateway.program.stop()
