"""Two hospitals hold a study; one of them lies behind a slow line. Who is asked is seen there."""

import pytest

from tests.chaosproxy import ChaosProxy, Fault, at_rate, delays, only
from tests.faults.conftest import COPIED, GatewayProcess, Region

pytestmark = pytest.mark.real

DOWNLOAD = "/dicom-web/studies/"
ACCEPT = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
HOLDERS = ("gkb1", "magnit")


def downloads(proxy: ChaosProxy) -> int:
    return sum(DOWNLOAD.encode() in line for line in proxy.seen)


def fetch(gateway: GatewayProcess, region: Region, times: int) -> dict[str, int]:
    """Fetch one image so many times; who gave it."""
    before = {site_id: downloads(region[site_id].proxy) for site_id in HOLDERS}
    for _ in range(times):
        answer = gateway.get(COPIED.instance_path, headers=ACCEPT)
        assert (answer.status_code, len(answer.content) > 500_000) == (200, True)
    return {site_id: downloads(region[site_id].proxy) - before[site_id] for site_id in HOLDERS}


@pytest.mark.parametrize("far", HOLDERS)
@pytest.mark.parametrize("line", [at_rate(600_000), delays(0.7)], ids=["thin", "long"])
def test_the_near_copy_wins(gateway, region, far: str, line: Fault):
    (near,) = set(HOLDERS) - {far}
    region[far].proxy.fault = only(DOWNLOAD, line)
    fetch(gateway, region, 2)  # each has had its first try, if it looked worth one
    assert fetch(gateway, region, 6) == {near: 6, far: 0}


def test_a_holder_that_becomes_slow_is_left_and_what_only_it_has_still_comes(gateway, region):
    # gkb1 comes first as long as nothing speaks for the other one.
    region["magnit"].proxy.fault = only(DOWNLOAD, delays(0.7))
    fetch(gateway, region, 2)
    assert fetch(gateway, region, 3) == {"gkb1": 3, "magnit": 0}
    region["magnit"].proxy.fault, region["gkb1"].proxy.fault = (
        only(DOWNLOAD, delays(0.01)),
        only(DOWNLOAD, at_rate(150_000)),
    )
    fetch(gateway, region, 3)
    assert fetch(gateway, region, 3) == {"gkb1": 0, "magnit": 3}
