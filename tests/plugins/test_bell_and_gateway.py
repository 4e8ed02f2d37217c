"""A real Orthanc rings a real gateway, and a real keeper answers."""

import sys
from datetime import UTC, datetime
from urllib.request import urlopen

import pytest
import sqlalchemy as sa

from gateway.demo.servers import REPOSITORY, OrthancServer, free_port
from gateway.model.sites import QuirkProfile
from gateway.records.engine import open_records
from gateway.records.events import site_event
from gateway.records.probes import load_profiles
from tests.forked import ForkedProgram
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
        "timeouts = {probe_s = 60}\n"  # a loaded machine must not look like a silent site
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
        log = tmp_path / words[0]
        return ForkedProgram(words[0], command, log, folder=REPOSITORY, environ=environ)

    records = open_records(database)
    with program("web", "--port", str(port)):
        wait_until(lambda: _lives(port), 60, "the gateway")
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
    """When the gateway heard that Orthanc has started."""
    with records.read() as connection:
        moments = sa.select(site_event.c.received_at).where(site_event.c.event == "Started")
        return connection.execute(moments.order_by(site_event.c.id)).scalars().all()


def _profile(records):
    return load_profiles(records).get("gkb1", QuirkProfile())


def _probed_at(records):
    return _profile(records).probed_at or datetime.min.replace(tzinfo=UTC)


def test_site_is_probed_again_as_soon_as_its_orthanc_has_started(region):
    orthanc, records = region
    for times in (1, 2):
        wait_until(lambda times=times: len(_starts(records)) == times, 60, "the event")
        # The next probe by the clock would come after three minutes. One that was under way when
        # Orthanc started, or stopped, says nothing.
        heard_at = _starts(records)[-1]
        wait_until(lambda at=heard_at: _probed_at(records) >= at, 60, "the probe after it")
        assert (_profile(records).version, _profile(records).problem) == ("1.10.1", "")
        if times == 1:
            orthanc.stop()
            orthanc.start()
