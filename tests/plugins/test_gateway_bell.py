"""The plugin inside real Orthancs, ringing a small receiver of our own."""

import http.server
import io
import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
import requests
from pydicom.uid import generate_uid

from gateway.demo.servers import free_port
from gateway.errors import GatewayError
from gateway.model.events import read_event
from gateway.model.sites import Region, Secret, Site
from tests.waiting import wait_until

pytestmark = pytest.mark.real

KEY = Secret("a-key-that-nobody-guesses")
REGION = Region(
    "Область",
    "Region",
    "gkb1",
    (Site("gkb1", "Первая", "First", "http://127.0.0.1:1", event_key=KEY),),
)


class Receiver:
    """Reads events as the gateway does; `hold` makes it accept and never answer."""

    def __init__(self, port=0):
        self.events = []
        self.bodies = []
        self.refusals = []
        self.held = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.let_go.set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not receiver.let_go.is_set():
                    receiver.held.release()
                    receiver.let_go.wait()
                    return
                try:
                    receiver.events.append(
                        read_event(REGION, self.headers, body, datetime.now(UTC))
                    )
                    receiver.bodies.append(body)
                    status = 202
                except GatewayError as error:
                    receiver.refusals.append(error)
                    status = 400
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.handle_error = lambda *_args: None
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/events"

    def names(self):
        return [event.name for event in self.events]

    def close(self):
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def key_file(tmp_path):
    file = tmp_path / "event.key"
    file.write_text(KEY + "\n")
    return file


@pytest.fixture
def start(start_orthanc, orthanc_generation, key_file):
    """start(url) -> a real Orthanc of each generation that rings `url`."""

    def start_with_bell(url, **bell):
        section = {"Url": url, "Site": "gkb1", "KeyFile": str(key_file), **bell}
        return start_orthanc(
            generation=orthanc_generation, settings={"GatewayBell": section, "StableAge": 1}
        )

    return start_with_bell


def _instances(dicom_file, count):
    """Images of one new study."""
    dataset = pydicom.dcmread(io.BytesIO(dicom_file))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    files = []
    for _ in range(count):
        dataset.SOPInstanceUID = generate_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        out = io.BytesIO()
        dataset.save_as(out)
        files.append(out.getvalue())
    return str(dataset.StudyInstanceUID), files


def _store(server, files):
    """STOW-RS, as the gateway does."""
    part = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    body = b"".join(part + file + b"\r\n" for file in files) + b"--b--\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=b'
    answer = requests.post(
        server.dicomweb_url + "/studies",
        data=body,
        auth=server.auth,
        headers={"Content-Type": kind},
        timeout=30,
    )
    assert len(answer.json()["00081199"]["Value"]) == len(files)


def test_arrival_and_stability_of_a_study_are_rung(start, receiver, dicom_file, orthanc_generation):
    server = start(receiver.url)
    study_uid, files = _instances(dicom_file, 12)
    _store(server, files)
    wait_until(lambda: "StableStudy" in receiver.names(), 30, "StableStudy")

    assert receiver.refusals == []
    assert receiver.names()[0] == "Started"
    arrivals = [event for event in receiver.events if event.name == "NewInstance"]
    assert {event.study_uid for event in arrivals} == {study_uid}
    assert sum(event.count for event in arrivals) == 12
    assert len(arrivals) < 12
    assert [e.study_uid for e in receiver.events if e.name == "StableStudy"] == [study_uid]
    senders = {(e.site_id, e.plugin_version, e.orthanc_version) for e in receiver.events}
    assert senders == {("gkb1", "1.0", orthanc_generation)}
    assert f"gateway_bell 1.0: rings {receiver.url} for the site gkb1" in _log(server)


def test_events_hold_no_patient_data(start, receiver, dicom_file):
    server = start(receiver.url)
    _store(server, _instances(dicom_file, 1)[1])
    wait_until(lambda: "StableStudy" in receiver.names(), 30, "StableStudy")
    keys = {key for body in receiver.bodies for key in json.loads(body)}
    known = {"version", "site", "event", "orthanc_id", "study_uid", "count", "at"}
    assert keys == known | {"plugin", "orthanc"}
    assert b"CompressedSamples" not in b"".join(receiver.bodies)


def test_receiver_that_hangs_does_not_hold_up_a_store(start, receiver, dicom_file):
    receiver.let_go.clear()
    server = start(receiver.url)
    assert receiver.held.acquire(timeout=30)  # it has the first event and says nothing
    _store(server, _instances(dicom_file, 40)[1])
    stored = requests.get(f"{server.url}/statistics", auth=server.auth, timeout=10).json()
    assert stored["CountInstances"] == 40
    assert receiver.events == []  # all of it while nobody had answered a single event


def test_silence_is_logged_once_and_the_end_of_it_too(start, dicom_file):
    port = free_port()
    server = start(f"http://127.0.0.1:{port}/events")
    for _ in range(3):
        _store(server, _instances(dicom_file, 1)[1])
        wait_until(lambda: "not heard (ConnectionRefusedError)" in _log(server), 30, "a log line")
    receiver = Receiver(port)
    try:
        _store(server, _instances(dicom_file, 1)[1])
        wait_until(lambda: "heard again" in _log(server), 30, "an answer")
    finally:
        receiver.close()
    assert _log(server).count("not heard (") == 1


def test_orthanc_stops_at_once_while_the_receiver_hangs(start, receiver):
    receiver.let_go.clear()
    server = start(receiver.url)
    assert receiver.held.acquire(timeout=30)
    server.ask_to_stop()
    wait_until(lambda: not server.alive, 10, "Orthanc to stop")
    assert server.exit_code == 0


def test_last_events_go_out_before_orthanc_stops(start, receiver, dicom_file):
    server = start(receiver.url)
    wait_until(lambda: receiver.names() == ["Started"], 30, "Started")
    study_uid, files = _instances(dicom_file, 1)
    _store(server, files)
    server.stop()
    assert [e.study_uid for e in receiver.events if e.name == "NewInstance"] == [study_uid]


@pytest.mark.parametrize(
    ("bell", "says"),
    [
        ({"Url": ""}, "off, no GatewayBell is configured"),
        ({"Url": "ftp://gateway"}, "off, GatewayBell.Url must look like"),
        ({"Site": ""}, "off, GatewayBell needs Site and KeyFile"),
        ({"KeyFile": "/nowhere/key"}, "off, [Errno 2] No such file or directory"),
    ],
    ids=["not configured", "wrong address", "no site", "no key"],
)
def test_wrong_configuration_is_logged_and_orthanc_works_on(start_orthanc, key_file, bell, says):
    right = {"Url": "http://127.0.0.1:1/events", "Site": "gkb1", "KeyFile": str(key_file)}
    server = start_orthanc(settings={"GatewayBell": right | bell})
    assert says in _log(server)
    assert requests.get(f"{server.url}/system", auth=server.auth, timeout=10).status_code == 200


def test_configuration_can_come_from_the_environment(
    start_orthanc, orthanc_generation, receiver, key_file
):
    start_orthanc(
        generation=orthanc_generation,
        environ={
            "GATEWAY_BELL_URL": receiver.url,
            "GATEWAY_BELL_SITE": "gkb1",
            "GATEWAY_BELL_KEY_FILE": str(key_file),
        },
    )
    wait_until(lambda: receiver.names() == ["Started"], 30, "Started")


def _log(server):
    return Path(server.log_file).read_text(encoding="utf-8", errors="replace")
