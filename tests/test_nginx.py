"""What the front nginx says by itself, while no gateway stands behind it."""

from collections.abc import Iterator

import pytest
import requests

from gateway.demo.servers import free_port
from gateway.model.sites import Region
from gateway.nginx import configuration
from gateway.settings import load_settings
from tests.nginx import Nginx

pytestmark = pytest.mark.real

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an nginx whose gateway is stopped."""
    folder, port = tmp_path_factory.mktemp("alone"), free_port()
    settings = load_settings({"GATEWAY_PORT": str(free_port())}, state_dir=folder)
    region = Region(name_ru="Область", name_en="Region", home_site="", sites=())
    written = configuration(settings, region, f"127.0.0.1:{port}", str(folder / "decisions"))
    with Nginx(folder / "nginx", port, written):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("path", ["/", "/rollout?lang=en", "/dicom-web/studies"])
def test_a_person_sees_a_page_that_opens_by_itself(alone: str, path: str) -> None:
    answer = requests.get(alone + path, headers={"Accept": BROWSER}, timeout=30)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Шлюз не отвечает" in answer.text
    assert '<meta http-equiv="refresh" content="10">' in answer.text


@pytest.mark.parametrize("accept", ["*/*", "application/dicom+json", ""])
def test_a_program_is_told_a_problem_and_when_to_come_again(alone: str, accept: str) -> None:
    for method in ("GET", "POST"):
        url = alone + "/dicom-web/studies"
        answer = requests.request(method, url, headers={"Accept": accept}, timeout=30)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["title"] == "Gateway is away"


def test_the_page_is_none_of_the_gateways_addresses(alone: str) -> None:
    answer = requests.get(alone + "/away", headers={"Accept": BROWSER}, timeout=30)
    assert answer.status_code == 404
