"""The audit reaches a collector of another maker: Debian's rsyslog, over TLS (RFC 5424, 5425)."""

import re
import shutil
import socket
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.servers import Program, free_port
from gateway.records.audit import append, load_cursor
from gateway.records.engine import Records
from gateway.worker.forwarder import CURSOR
from tests.authority import Authority
from tests.databases import open_without_rows
from tests.records.test_audit import entry
from tests.waiting import wait_until
from tests.worker.test_forwarder import NOW, forwarder_to

CONFIGURATION = """
global(
    workDirectory="{folder}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off"
    defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{ca}"
    defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}"
)
module(
    load="imtcp" streamDriver.name="gtls" streamDriver.mode="1"
    streamDriver.authMode="x509/certvalid"
)
template(name="raw" type="string" string="%rawmsg%\\n")
input(type="imtcp" port="{port}")
action(type="omfile" file="{received}" template="raw" flushOnTXEnd="on")
"""
NUMBER = re.compile(r'\[meta sequenceId="(\d+)"\]', re.ASCII)
RSYSLOGD = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(RSYSLOGD is None, reason="rsyslog and rsyslog-gnutls are not installed"),
]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    records = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield records
    records.close()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_all_lines_stand_in_rsyslogs_file_in_their_order(records: Records, tmp_path: Path) -> None:
    authority, port = Authority(tmp_path), free_port()
    certificate, key = authority.issue("collector")
    mine, my_key = authority.issue("gateway")
    mine.write_bytes(mine.read_bytes() + my_key.read_bytes())
    received = tmp_path / "received"
    written = CONFIGURATION.format(
        folder=tmp_path, ca=authority.file, certificate=certificate, key=key, port=port,
        received=received,
    )  # fmt: skip
    (tmp_path / "rsyslog.conf").write_text(written)
    command = [str(RSYSLOGD), "-n", "-f", "rsyslog.conf", "-i", str(tmp_path / "rsyslog.pid")]
    collector = Program(
        "rsyslog", command, tmp_path / "rsyslog.log", folder=tmp_path, ready=lambda: listens(port)
    )
    append(records, [entry(n) for n in range(300)])
    forwarder = forwarder_to(records, port, authority.file, audit_syslog_certificate_file=str(mine))
    collector.start()
    try:
        forwarder.look(NOW)
        wait_until(lambda: received.read_bytes().count(b"\n") >= 300, 60, "the file of rsyslog")
        assert load_cursor(records, CURSOR) == 300
    finally:
        collector.stop()
    lines = received.read_text("utf-8").splitlines()
    assert [int(found[1]) for line in lines if (found := NUMBER.search(line))] == [*range(1, 301)]
    messages = [line.partition("\ufeff")[2] for line in lines]
    assert {ET.fromstring(message).tag for message in messages} == {"AuditMessage"}
