"""A real Orthanc rings a real gateway, and a real keeper answers."""

import sys
from urllib.request import urlopen

import pytest
import sqlalchemy as sa

from gateway.demo.servers import REPOSITORY, OrthancServer, Program, free_port
from gateway.model.sites import QuirkProfile
from gateway.records.engine import open_records
from gateway.records.events import site_event
from gateway.records.probes import load_profiles
from tests.waiting import wait_until

pytestmark = pytest.mark.real
KEY = "a-key-that-nobody-guesses"


@pytest.fixture
def region(tmp_path):
    """A gateway, a keeper and one Orthanc that knows the gateway: (Orthanc, records)."""
    port, key_file = free_port(), tmp_path / "event.key"
    key_file.write_text(KEY)
    bell = {"Url": f"http://127.0.0.1:{port}/events", "Site": "gkb1", "KeyFile": str(key_file)}
    orthanc = OrthancServer(
        tmp_path / "orthanc",
        "gkb1",
        free_port(),
        free_port(),
        username="tests",
        password="secret",
        settings={"GatewayBell": bell},
    )
    file = tmp_path / "region.toml"
    file.write_text(
        '[region]\nname_ru = "Область"\nname_en = "Region"\n[[site]]\nid = "gkb1"\n'
        f'name_ru = "Первая"\nname_en = "First"\nurl = "{orthanc.url}"\nusername = "tests"\n'
        'password_env = "SITE_PASSWORD"\nevent_key_file = "event.key"\n'
    )
    database = f"sqlite:///{tmp_path / 'gateway.db'}"
    environ = {
        "GATEWAY_DATABASE_URL": database,
        "GATEWAY_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "GATEWAY_WEB_WORKERS": "1",
        "SITE_PASSWORD": "secret",
    }

    def program(*words):
        command = [sys.executable, "-m", "gateway.cli", *words, "--region", str(file)]
        return Program(words[0], command, tmp_path / words[0], folder=REPOSITORY, environ=environ)

    records = open_records(database)
    with program("web", "--port", str(port)):
        wait_until(lambda: _lives(port), 30, "the gateway")
        with program("keeper"), orthanc:
            yield orthanc, records
    records.close()


def _lives(port):
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _starts(records):
    with records.read() as connection:
        names = sa.select(site_event.c.event).where(site_event.c.site_id == "gkb1")
        return connection.execute(names).scalars().all().count("Started")


def _profile(records):
    return load_profiles(records).get("gkb1", QuirkProfile())


def test_site_is_probed_again_as_soon_as_its_orthanc_has_started(region):
    orthanc, records = region
    wait_until(lambda: _starts(records) == 1, 30, "the event")
    wait_until(lambda: _profile(records).version == "1.10.1", 30, "the probe")
    before = _profile(records).probed_at
    orthanc.stop()
    orthanc.start()
    wait_until(lambda: _starts(records) == 2, 30, "the second event")
    # The next probe by the clock would come after three minutes.
    wait_until(lambda: _profile(records).probed_at > before, 30, "the next probe")
    assert _profile(records).problem == ""
