"""Samples are made once and go where they are missing."""

import pytest
import responses

from gateway.demo.fill import fill_sites
from gateway.demo.layout import SITES, Layout, load_secrets, region_toml
from gateway.errors import DemoError


@pytest.fixture
def layout(tmp_path) -> Layout:
    layout = Layout(tmp_path, 9000)
    load_secrets(tmp_path)
    urls = {site.site_id: layout.site_url(site) for site in SITES}
    layout.region_file.write_text(region_toml(urls, "secrets/"), encoding="utf-8")
    return layout


class Hands:
    """Stands in for the generator and the loader, and remembers what was asked of them."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.made = 0
        self.loaded = []

    def make(self, folder, say) -> None:
        self.made += 1
        for site_id in ("gkb1", "zlat"):
            for number in range(3):
                file = folder / site_id / "a study" / f"{number}.dcm"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
        (folder / "zlat" / "about.txt").touch()

    def load(self, folder, site, say) -> None:
        assert folder == self.layout.samples / site.site_id
        self.loaded.append((site.site_id, site.url))

    def fill(self) -> None:
        layout = self.layout
        fill_sites(layout.region_file, layout.samples, print, make=self.make, load=self.load)


def hold(layout: Layout, counts: dict[str, int]) -> None:
    """Let each site hold that many instances."""
    for site in SITES:
        document = {"CountInstances": counts.get(site.site_id, 0)}
        responses.get(layout.site_url(site) + "/statistics", json=document)


@responses.activate
def test_samples_go_to_the_sites_that_lack_some(layout):
    hands = Hands(layout)
    hold(layout, {"gkb1": 3, "zlat": 2})
    hands.fill()
    assert hands.loaded == [("zlat", layout.site_url(SITES[2]))]


@responses.activate
def test_samples_are_made_once(layout):
    hands = Hands(layout)
    hold(layout, {})
    hands.fill()
    hands.fill()
    assert hands.made == 1
    assert [site_id for site_id, _ in hands.loaded] == ["gkb1", "zlat", "gkb1", "zlat"]


@responses.activate
def test_a_broken_try_leaves_nothing_in_the_next_one(layout):
    hands = Hands(layout)
    hold(layout, {})
    (layout.samples / "gkb1").mkdir(parents=True)
    (layout.samples / "gkb1" / "half.dcm").touch()
    hands.fill()
    assert not (layout.samples / "gkb1" / "half.dcm").exists()


@responses.activate
def test_a_silent_site_is_an_error_and_not_an_empty_one(layout):
    responses.get(layout.site_url(SITES[0]) + "/statistics", status=503)
    hands = Hands(layout)
    with pytest.raises(DemoError, match="gkb1: does not say what it holds"):
        hands.fill()
    assert hands.loaded == []
