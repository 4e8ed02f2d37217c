"""The id of a request goes along to every site that is asked for it."""

from concurrent.futures import ThreadPoolExecutor

from gateway.clock import Deadline
from gateway.federation.fanout import ask_all
from gateway.log import REQUEST
from gateway.model.sites import Site
from gateway.orthanc.request import request_head
from tests.fakes import a_site


def heads_under(request_id: str) -> set[bytes]:
    mark = REQUEST.set(request_id)
    try:
        with ThreadPoolExecutor(2) as pool:

            def ask(site: Site, _: Deadline) -> bytes:
                return request_head(site, "GET", "/studies", [], None)

            answers, _ = ask_all([a_site("gkb1"), a_site("zlat")], ask, pool, 60.0)
    finally:
        REQUEST.reset(mark)
    return set(answers.values())


def test_each_site_hears_the_id_of_the_request() -> None:
    told = heads_under("4bf92f3577b34da6")
    assert {b"\r\nX-Request-Id: 4bf92f3577b34da6\r\n" in head for head in told} == {True}


def test_without_a_request_nothing_is_said() -> None:
    assert {b"X-Request-Id" in head for head in heads_under("")} == {False}
