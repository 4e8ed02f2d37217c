"""The audit reaches its collector over real TLS: in order, none lost, known twice by its number."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.errors import CollectorUnavailable
from gateway.model.alarms import AUDIT_WAITS
from gateway.records.alarms import load_alarms
from gateway.records.audit import append, load_cursor
from gateway.records.engine import Records
from gateway.settings import load_settings
from gateway.worker.collector import collector_of, deliver
from gateway.worker.forwarder import CURSOR, MOST_LINES, Forwarder
from tests.databases import open_without_rows
from tests.records.test_audit import entry

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def make_certificate(path: Path) -> Path:
    """Certificate and key of 127.0.0.1 in one file; its own authority."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", f"/CN={path.stem}", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = path.with_suffix(".key")
    files = ["-keyout", str(key), "-out", str(path)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


class Listener:
    """A collector: a TLS server that reads frames of RFC 5425 and does what a test tells it to.

    cuts_after  bytes that it reads of each connection before it ends it; None: all of them
    cuts_by     how it does that
    """

    cuts_by = "RST"

    def __init__(self, certificate: Path, client_ca: Path | None = None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        if client_ca is not None:
            self._context.load_verify_locations(client_ca)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self.cuts_after: int | None = None
        self.says_goodbye = True
        self.frames: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._door.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(plain, server_side=True) as line:
                    self._read(line)
            except OSError:
                pass

    def _read(self, line: ssl.SSLSocket) -> None:
        got = b""
        while block := line.recv(4096):
            got += block
            if self.cuts_after is not None and len(got) >= self.cuts_after:
                if self.cuts_by == "RST":
                    reset = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                break
        self.frames += list(frames_of(got))
        if self.cuts_after is None and self.says_goodbye:
            line.unwrap()

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join(60)

    @property
    def numbers(self) -> list[int]:
        """The sequenceIds, in the order in which they came."""
        return [int(frame.split(b'sequenceId="')[1].split(b'"')[0]) for frame in self.frames]


def frames_of(text: bytes) -> Iterator[bytes]:
    """Whole frames alone: a collector knows of a torn one that it is torn."""
    while text:
        length, space, rest = text.partition(b" ")
        if not space or len(rest) < int(length):
            return
        yield rest[: int(length)]
        text = rest[int(length) :]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "collector.pem")


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    records = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield records
    records.close()


@pytest.fixture
def listen(certificate: Path) -> Iterator[Callable[..., Listener]]:
    opened: list[Listener] = []

    def listen(**options) -> Listener:
        opened.append(Listener(certificate, **options))
        return opened[-1]

    yield listen
    for one in opened:
        one.close()


def forwarder_to(records: Records, port: int, ca: Path, **more) -> Forwarder:
    settings = load_settings(
        {}, audit_syslog=f"127.0.0.1:{port}", audit_syslog_ca_file=str(ca),
        public_url="https://images.region.example", **more,
    )  # fmt: skip
    return Forwarder(records, settings)


def test_all_lines_come_once_and_in_order(records, listen, certificate) -> None:
    listener = listen()
    append(records, [entry(n) for n in range(2 * MOST_LINES + 5)])
    forwarder = forwarder_to(records, listener.port, certificate)
    forwarder.look(NOW)
    append(records, [entry(9999)])
    forwarder.look(NOW)
    forwarder.look(NOW)
    assert listener.numbers == list(range(1, 2 * MOST_LINES + 7))
    head, _, message = listener.frames[0].partition(b"\xef\xbb\xbf")
    assert head == (
        b"<85>1 2026-01-31T12:00:00.123456Z images.region.example gateway - DICOM+RFC3881 "
        b'[meta sequenceId="1"] '
    )
    assert message.startswith(b"<AuditMessage>")


def test_a_collector_that_reads_all_and_hangs_up_has_read_all(records, listen, certificate) -> None:
    """As rsyslog does, against RFC 5425 4.4."""
    listener = listen()
    listener.says_goodbye = False
    append(records, [entry(n) for n in range(5)])
    forwarder = forwarder_to(records, listener.port, certificate)
    forwarder.look(NOW)
    assert load_cursor(records, CURSOR) == 5


@pytest.mark.parametrize("cuts_by", ["RST", "FIN"])
def test_what_broke_off_is_sent_again_and_nothing_is_left_out(
    records, listen, certificate, cuts_by: str
) -> None:
    listener = listen()
    listener.cuts_after, listener.cuts_by = 20_000, cuts_by
    append(records, [entry(n) for n in range(300)])
    forwarder = forwarder_to(records, listener.port, certificate)
    for _ in range(3):
        forwarder.look(NOW)
        assert load_cursor(records, CURSOR) == 0
    listener.cuts_after = None
    forwarder.look(NOW)
    seen = dict.fromkeys(listener.numbers)
    assert list(seen) == list(range(1, 301))  # first comings are in order
    assert len(listener.numbers) > 300  # what came twice has the same number
    assert load_cursor(records, CURSOR) == 300


def test_a_collector_away_for_a_day_costs_nothing_and_is_told_once(
    records, listen, certificate
) -> None:
    gone = socket.create_server(("127.0.0.1", 0))
    port = gone.getsockname()[1]
    gone.close()
    append(records, [entry(n) for n in range(20)])
    forwarder = forwarder_to(records, port, certificate)
    forwarder.look(NOW)
    assert load_alarms(records) == []
    for hours in (1, 12, 24):
        forwarder.look(NOW + timedelta(hours=hours))
    (alarm,) = load_alarms(records)
    assert (alarm.kind, alarm.facts) == (AUDIT_WAITS, {"reason": "broken"})
    # Another keeper takes over, and the collector is back.
    listener = listen()
    again = forwarder_to(records, listener.port, certificate)
    again.look(NOW + timedelta(hours=25))
    assert listener.numbers == list(range(1, 21))
    assert load_alarms(records) == []
    restarted = forwarder_to(records, listener.port, certificate)
    restarted.look(NOW + timedelta(hours=26))
    assert len(listener.numbers) == 20


def test_nothing_goes_to_a_stranger(records, listen, certificate, tmp_path) -> None:
    listener = listen()
    other = make_certificate(tmp_path / "other.pem")
    settings = load_settings(
        {}, audit_syslog=f"127.0.0.1:{listener.port}", audit_syslog_ca_file=str(other)
    )
    with pytest.raises(CollectorUnavailable, match="certificate"):
        deliver(collector_of(settings), [b"5 x"])
    assert listener.frames == []


def test_the_collector_may_ask_for_our_certificate(records, listen, certificate, tmp_path) -> None:
    own = make_certificate(tmp_path / "own.pem")
    listener = listen(client_ca=own)
    append(records, [entry(1)])
    for ours, expected in (("", []), (str(own), [1])):
        forwarder = forwarder_to(
            records, listener.port, certificate, audit_syslog_certificate_file=ours
        )
        forwarder.look(NOW)
        assert listener.numbers == expected
