import http.server
import ssl
import subprocess
import threading
from datetime import UTC, datetime

import pytest

from gateway.demo.servers import free_port
from gateway.errors import (
    SiteRefused,
    SiteSpeaksGarbage,
    SiteStreamCut,
    SiteTimeout,
    SiteUnreachable,
    SiteUntrusted,
)
from gateway.model.sites import Secret, Timeouts
from gateway.orthanc import rest
from gateway.orthanc.probe import probe_site
from tests.orthanc.conftest import as_site, make_site

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def _answer(body: bytes, head: bytes = OK) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _drip_body(sock):
    sock.sendall(OK + b"Content-Length: 100000\r\n\r\n")
    while True:
        sock.sendall(b" ")
        threading.Event().wait(0.05)


def _drip_head(sock):
    sock.sendall(OK + b"X-Slow: ")
    while True:
        sock.sendall(b"a")
        threading.Event().wait(0.05)


def _hang(sock):
    sock.recv(1)


FAILURES = [
    pytest.param(_hang, SiteTimeout, id="never answers"),
    pytest.param(_drip_body, SiteTimeout, id="drips its body"),
    pytest.param(_drip_head, SiteTimeout, id="drips its head"),
    pytest.param(b"", SiteUnreachable, id="closes without a word"),
    pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", SiteSpeaksGarbage, id="speaks no HTTP"),
    pytest.param(OK + b"Content-Length: 9\r\n\r\n{}", SiteStreamCut, id="cuts its body"),
    pytest.param(_answer(b"<html>"), SiteSpeaksGarbage, id="HTML"),
    pytest.param(_answer(b"[1]"), SiteSpeaksGarbage, id="another kind of JSON"),
    pytest.param(_answer(b" " * (rest.BYTE_CAP + 1)), SiteSpeaksGarbage, id="too large"),
    pytest.param(
        _answer(b"{}", OK + b"Content-Encoding: gzip\r\n"), SiteSpeaksGarbage, id="compressed"
    ),
    pytest.param(_answer(b"", b"HTTP/1.1 500 Oops\r\n"), SiteRefused, id="HTTP 500"),
    pytest.param(_answer(b"", b"HTTP/1.1 401 No\r\n"), SiteUntrusted, id="HTTP 401"),
    pytest.param(
        _answer(b"", b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"),
        SiteRefused,
        id="redirect is not followed",
    ),
]


@pytest.mark.parametrize(("says", "expected"), FAILURES)
def test_every_failure_of_a_site_has_its_own_error(site_of_bytes, says, expected):
    hurried = Timeouts(connect_s=1.0, probe_s=0.4 if callable(says) else 5.0)
    with pytest.raises(expected) as caught:
        rest.system(make_site(site_of_bytes(says), timeouts=hurried))
    assert type(caught.value) is expected
    assert caught.value.site_id == "gkb1"


def test_refused_connection_is_unreachable():
    with pytest.raises(SiteUnreachable):
        rest.system(make_site(f"http://127.0.0.1:{free_port()}"))


def test_missing_ca_file_is_named_not_ignored():
    site = make_site("https://127.0.0.1:1", ca_file="/nowhere/ca.pem")
    with pytest.raises(SiteUntrusted, match="ca_file"):
        rest.system(site)


@pytest.fixture
def https_site(tmp_path):
    """A TLS server with a certificate of its own making: (URL, file of the certificate)."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=site", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.wfile.write(_answer(b'{"Version": "1.10.1"}'))

        def log_message(self, *_args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.handle_error = lambda *_args: None
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}", str(certificate)
        server.shutdown()
        thread.join()


def test_certificate_is_accepted_only_with_its_own_authority(https_site):
    url, certificate = https_site
    assert rest.system(make_site(url, ca_file=certificate)) == {"Version": "1.10.1"}
    with pytest.raises(SiteUntrusted, match="certificate"):
        rest.system(make_site(url))
    profile = probe_site(make_site(url, kind="dicomweb"), datetime(2026, 3, 1, tzinfo=UTC))
    assert profile.problem == "untrusted (its certificate is not accepted)"


def test_proxies_of_the_environment_are_not_used(site_of_bytes, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    site = make_site(site_of_bytes(_answer(b'{"Version": "1.10.1"}')))
    assert rest.system(site) == {"Version": "1.10.1"}


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"Changes": [{}], "Done": true, "Last": 1}', b'{"Changes": 1, "Done": 1, "Last": 1}'],
)
def test_broken_change_feed_is_garbage(site_of_bytes, body):
    with pytest.raises(SiteSpeaksGarbage, match="/changes"):
        rest.changes(make_site(site_of_bytes(_answer(body))), 0, 10)


@pytest.mark.real
def test_real_orthanc_answers(orthanc_generation, start_orthanc, dicom_file):
    server = start_orthanc(generation=orthanc_generation)
    site = as_site(server)
    assert rest.changes(site, 0, 10).changes == ()
    rest.ask_site(site, lambda orthanc: orthanc.post_instances(content=dicom_file))

    assert rest.system(site)["Version"] == orthanc_generation
    assert {"dicom-web", "python"} <= set(rest.plugins(site))
    assert rest.plugin(site, "dicom-web")["ID"] == "dicom-web"
    assert rest.statistics(site)["CountStudies"] == 1
    page = rest.changes(site, 0, 2)
    assert [change.name for change in page.changes] == ["NewInstance", "NewSeries"]
    assert (page.done, page.last) == (False, page.changes[-1].seq)
    rest_of_it = rest.changes(site, page.last, 100)
    assert "NewStudy" in [change.name for change in rest_of_it.changes]
    assert rest_of_it.done
    with pytest.raises(SiteRefused) as caught:
        rest.plugin(site, "no-such-plugin")
    assert caught.value.status == 404
    with pytest.raises(SiteUntrusted):
        rest.system(as_site(server, password=Secret("wrong")))
