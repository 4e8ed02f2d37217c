"""Metadata are asked of a site once for each version of a study that the index knows."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaosproxy import ChaosProxy
from tests.conftest import StartOrthanc
from tests.journeys.indexed import write_study
from tests.running import RunningGateway, load, start_gateway
from tests.studies import ROOT, a_study
from tests.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.alone]

PATH = f"/studies/{ROOT}.1/series/{ROOT}.1.1/metadata"


@pytest.fixture(scope="module")
def watched(
    orthanc_generation: str,
    start_orthanc: StartOrthanc,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningGateway, ChaosProxy]]:
    """A gateway before one hospital, and the proxy between them that sees what is asked."""
    server = start_orthanc("gkb1", generation=orthanc_generation)
    load(server, a_study(1, (3,)))
    with ChaosProxy(server.http_port) as proxy:
        gateway = start_gateway(
            tmp_path_factory.mktemp("gateway"),
            {"gkb1": proxy.url},
            {"gkb1": server},
            home="gkb1",
            settings={"GATEWAY_MAX_INDEX_AGE_S": "3600"},
        )
        try:
            yield gateway, proxy
        finally:
            gateway.program.stop()


def test_the_second_reader_costs_the_site_nothing_until_the_study_changes(
    watched: tuple[RunningGateway, ChaosProxy],
) -> None:
    gateway, proxy = watched
    unknown = gateway.get(PATH)
    assert "ETag" not in unknown.headers
    write_study(gateway.folder / "state", "gkb1", f"{ROOT}.1", "one")
    wait_until(lambda: "ETag" in gateway.get(PATH).headers, 60, "a version")
    first = gateway.get(PATH)
    proxy.seen.clear()

    second = gateway.get(PATH)
    plain = gateway.get(PATH, headers={"Accept-Encoding": "identity"})
    assert (second.json(), second.headers["ETag"]) == (first.json(), first.headers["ETag"])
    assert _in_order(first.json()) == _in_order(unknown.json())  # Orthanc's order is any
    assert (second.headers["Content-Encoding"], "Content-Encoding" in plain.headers) == (
        "gzip",
        False,
    )
    assert (plain.json(), plain.headers["Content-Location"]) == (
        first.json(),
        gateway.dicomweb + PATH,
    )
    tag = first.headers["ETag"]
    assert gateway.get(PATH, headers={"If-None-Match": tag}).status_code == 304
    assert [line for line in proxy.seen if b"/metadata" in line] == []

    write_study(gateway.folder / "state", "gkb1", f"{ROOT}.1", "two")
    wait_until(lambda: gateway.get(PATH).headers.get("ETag", tag) != tag, 60, "the new version")
    assert len([line for line in proxy.seen if b"/metadata" in line]) == 1


def _in_order(instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(instances, key=lambda instance: str(instance["00080018"]["Value"]))
