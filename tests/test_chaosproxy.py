"""The fault proxy itself: what it does not mean to break stays whole, and nothing of it is left."""

import http.server
import os
import threading
import time

import pytest
import requests

from tests.chaosproxy import HTML, ChaosProxy, cut, drips, only, resets, says


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer(b"0123456789")

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


@pytest.fixture
def proxy():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        with ChaosProxy(server.server_port) as proxy:
            yield proxy
        server.shutdown()
        thread.join()


def test_without_a_fault_requests_and_answers_pass_on_one_connection(proxy):
    with requests.Session() as session:
        assert session.get(proxy.url, timeout=5).content == b"0123456789"
        assert session.post(proxy.url, b"x" * 300_000, timeout=5).content == b"x" * 300_000
        assert proxy.open_connections == 1
    assert [line.split()[0] for line in proxy.seen] == [b"GET", b"POST"]


@pytest.mark.parametrize("reset", [False, True], ids=["by FIN", "by RST"])
def test_a_cut_ends_in_the_middle(proxy, reset):
    proxy.fault = cut(0.5, reset=reset)
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(proxy.url, timeout=5)


def test_a_cut_without_length_looks_whole(proxy):
    proxy.fault = cut(0.5, without_length=True)
    assert requests.get(proxy.url, timeout=5).content == b"01234"


def test_a_fault_may_be_for_some_requests_only(proxy):
    proxy.fault = only("/wrong", says(HTML))
    assert b"router" in requests.get(proxy.url + "/wrong", timeout=5).content
    assert requests.get(proxy.url + "/right", timeout=5).content == b"0123456789"


def test_a_drip_is_slow_but_right(proxy):
    proxy.fault = drips(0.02, whole_head=True)
    start = time.monotonic()
    assert requests.get(proxy.url, timeout=5).content == b"0123456789"
    assert time.monotonic() - start > 0.15


def test_it_refuses_and_takes_connections_again_on_the_same_port(proxy):
    proxy.refuse()
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(proxy.url, timeout=5)
    proxy.reset()
    assert requests.get(proxy.url, timeout=5).ok
    proxy.fault = resets
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(proxy.url, timeout=5)


def test_nothing_of_it_is_left_after_its_end(proxy):
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    with ChaosProxy(proxy.site_port) as another, requests.Session() as session:
        session.get(another.url, timeout=5)
        assert threading.active_count() > before[0]
    until = time.monotonic() + 5  # the site's own thread notices the end a moment later
    while threading.active_count() > before[0] and time.monotonic() < until:
        time.sleep(0.01)
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before
