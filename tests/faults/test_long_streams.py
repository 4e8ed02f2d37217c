"""Studies take little memory, however long they are; long_streams.py has the long form."""

from collections.abc import Iterator

import pytest

from tests.faults.conftest import GatewayProcess
from tests.faults.long_streams import LIMIT_MB, MB, Work, gateway_under_a_limit, measure

pytestmark = [pytest.mark.real, pytest.mark.alone]

SHORT = (
    Work("a study", 128, 2 * MB),
    Work("one instance, alone", 1, 300 * MB, way="alone"),
    Work("20,000 parts", 20_000, 1),
    Work("32 callers", 10, 2 * MB, callers=32),
    Work("one instance, up", 1, 100 * MB, way="up"),
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with gateway_under_a_limit(tmp_path_factory.mktemp("endless")) as process:
        yield process


@pytest.mark.parametrize("work", SHORT, ids=[work.name for work in SHORT])
def test_a_study_takes_little_memory_whatever_its_size(gateway: GatewayProcess, work: Work) -> None:
    found = measure(gateway, work)
    assert (found.whole, found.peak_mb < LIMIT_MB) == (True, True)
    assert found.grown_mb < work.most_mb
