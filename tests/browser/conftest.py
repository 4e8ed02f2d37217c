"""Chromium without a window, in front of the demo's hospitals with their small sample studies."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from gateway.demo.load import load_folder
from gateway.demo.samples import CATALOGUE, write_samples
from gateway.demo.servers import REPOSITORY, OrthancServer
from tests.browser.ministry import region
from tests.conftest import StartOrthanc
from tests.running import RunningGateway, start_gateway

__all__ = ["region"]  # a fixture of several files
FLAGS = """--no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader
    --disable-background-networking --disable-component-update --disable-sync --no-first-run
    --disable-quic"""
PHONE, DESKTOP = (390, 844), (1400, 900)


@dataclass(frozen=True)
class Hospitals:
    """A running gateway, the servers behind it and the catalogue of what they hold."""

    gateway: RunningGateway
    catalogue: list[dict]
    servers: dict[str, OrthancServer]

    def study(self, feature: str, site: str | None = None) -> dict:
        """The first study with this feature, at this site if one is named."""
        return next(
            entry
            for entry in self.catalogue
            if feature in entry["features"] and (site is None or site in entry["sites"])
        )


@dataclass
class Watch:
    """What a page did beside showing itself: requests to others, errors."""

    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def hospitals(
    start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hospitals]:
    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder, small=True)
    servers = {name: start_orthanc(name) for name in ("gkb1", "magnit", "zlat")}
    for name, server in servers.items():
        load_folder(folder / name, server.url, server.username, server.password)
    viewer = REPOSITORY / ".viewer"
    assert (viewer / "index.html").is_file(), "run .ci/viewer"
    gateway = start_gateway(
        tmp_path_factory.mktemp("gateway"),
        {name: server.url for name, server in servers.items()},
        servers,
        home="gkb1",
        settings={"GATEWAY_VIEWER_DIR": str(viewer)},
    )
    catalogue = json.loads((folder / CATALOGUE).read_text(encoding="utf-8"))
    yield Hospitals(gateway, catalogue, servers)
    gateway.program.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=FLAGS.split()
        )
        yield browser
        browser.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def page(browser: Browser, hospitals: Hospitals, watch: Watch) -> Iterator[Page]:
    """A fresh page whose every request and error is kept in `watch`."""
    context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
    page = context.new_page()
    origin = hospitals.gateway.url + "/"

    def on_request(url: str) -> None:
        if not url.startswith((origin, "blob:", "data:")):
            watch.foreign.append(url)

    page.on("request", lambda request: on_request(request.url))
    page.on("pageerror", lambda error: watch.errors.append(str(error)))
    page.on(
        "console",
        lambda line: watch.errors.append(line.text) if line.type == "error" else None,
    )
    page.on(
        "response",
        lambda answer: (
            watch.refused.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
        ),
    )
    yield page
    context.close()


def save(page: Page, folder: Path, name: str, *, whole: bool = False) -> None:
    """Keep a picture for whoever looks at a failure; a browser short of breath may owe one."""
    with suppress(Error):
        page.screenshot(path=folder / f"{name}.png", full_page=whole)
