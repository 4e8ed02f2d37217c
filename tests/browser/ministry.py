"""A gateway with the whole sample region, and how its pages are watched."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright.sync_api import Page

from gateway.clock import utc_now
from gateway.demo.equip import equip
from gateway.demo.layout import SITES
from gateway.demo.servers import REPOSITORY
from gateway.model.rollout.figures import Evidence
from gateway.model.rollout.measures import Savings
from gateway.records.engine import open_records
from gateway.records.schema import migrate
from gateway.records.snapshots import latest
from gateway.rollout.report import backfill
from tests.running import RunningGateway, start_gateway

FAULTS = Path(__file__).with_name("faults_of_page.js").read_text(encoding="utf-8")
PICTURES = REPOSITORY / "build" / "rollout"
SIZES = {"phone": (390, 844), "desktop": (1440, 900)}
PATIENCE_MS = 60_000
CHARTS = {
    "glance": 3, "facilities": 1, "facility": 1, "discrepancies": 0, "programme": 3, "report": 5,
}  # fmt: skip


@dataclass
class Region:
    """A gateway with the sample region, and the addresses of its six pages."""

    gateway: RunningGateway
    pages: dict[str, str]

    def page(self, name: str, code: str = "ru") -> str:
        return f"{self.gateway.url}/rollout{self.pages[name]}?lang={code}"

    def register(self, path: str = "", code: str = "ru", **asked: str) -> str:
        """An address of the register."""
        query = "".join(f"&{name}={value}" for name, value in asked.items())
        return f"{self.gateway.url}/rollout/register{path}?lang={code}{query}"


@pytest.fixture(scope="session")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    folder = tmp_path_factory.mktemp("rollout")
    (folder / "state").mkdir()
    records = open_records(f"sqlite:///{folder / 'state' / 'gateway.db'}")
    migrate(records)
    now = utc_now()
    equip(records, now)
    backfill(records, Savings(), now.date() - timedelta(days=1), now)
    night = latest(records)
    records.close()
    assert night is not None
    silent = next(one for one in night.units if one.evidence is Evidence.SILENT)
    names = [site.site_id for site in SITES]
    login = SimpleNamespace(username="gateway", password="secret")
    gateway = start_gateway(
        folder,
        dict.fromkeys(names, "http://127.0.0.1:9"),
        dict.fromkeys(names, login),  # type: ignore[arg-type]
        home=names[0],
    )
    pages = {name: f"/{name}" for name in CHARTS} | {"glance": ""}
    yield Region(gateway, pages | {"facility": f"/facilities/{silent.facility_id}"})
    gateway.program.stop()


def watched(page: Page, origin: str) -> list[str]:
    """What goes wrong in a page from here on: errors, refusals of its policy, foreign requests."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on(
        "request",
        lambda r: wrong.append(r.url) if not r.url.startswith((origin, "data:")) else None,
    )
    return wrong
