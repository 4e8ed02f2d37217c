"""OHIF, served by the gateway, lists every hospital and shows pixels of each."""

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Error, Page, expect

from tests.browser.conftest import DESKTOP, PHONE, Hospitals, Watch, save

pytestmark = [pytest.mark.real, pytest.mark.browser]

PATIENCE_MS = 60_000
CANVAS = ".cornerstone-canvas, canvas"


def shades(picture: bytes) -> int:
    """How many different grey values fill more than a handful of pixels."""
    grey = Image.open(io.BytesIO(picture)).convert("L")
    return sum(1 for count in grey.histogram() if count > 5)


def canvas_shades(page: Page) -> int:
    """Grey values on the first viewport's canvas; texts around it are not counted. 0 where the
    browser could not take a picture just now."""
    try:
        return shades(page.locator(CANVAS).first.screenshot())
    except Error:
        return 0


def wait_for_pixels(page: Page) -> int:
    """Until the canvas shows an image; the number of its shades."""
    page.locator(CANVAS).first.wait_for(state="visible", timeout=PATIENCE_MS)
    found = 0
    for _ in range(60):
        found = canvas_shades(page)
        if found > 25:
            break
        page.wait_for_timeout(500)
    return found


def test_the_list_shows_studies_of_every_hospital(
    page: Page, hospitals: Hospitals, watch: Watch
) -> None:
    page.goto(hospitals.gateway.url + "/viewer/")
    for feature, site, name in (
        ("us-multiframe", "magnit", "Широкова"),
        ("ct200", "gkb1", "Кузнецова"),
        ("same-id", "zlat", "Беляев"),
    ):
        assert hospitals.study(feature, site)["patient_name"].startswith(name)
        expect(page.get_by_text(name).first).to_be_visible(timeout=PATIENCE_MS)
    assert (watch.foreign, watch.errors, watch.refused) == ([], [], [])


@pytest.mark.parametrize(
    ("feature", "site"),
    [
        pytest.param("ct200", "gkb1", id="a CT of Chelyabinsk"),
        pytest.param("iso144", "magnit", id="a CR of Magnitogorsk"),
        pytest.param("same-id", "zlat", id="a CR of Zlatoust"),
        pytest.param("us-multiframe", "gkb1", id="an ultrasound of many frames"),
        pytest.param("jpeg2000", "gkb1", id="JPEG 2000"),
        pytest.param("jpegls", "zlat", id="JPEG-LS"),
        pytest.param("rle", "zlat", id="RLE"),
        pytest.param("jpeg", "zlat", id="JPEG"),
    ],
)
def test_a_study_shows_its_pixels(
    page: Page, hospitals: Hospitals, watch: Watch, tmp_path: Path, feature: str, site: str
) -> None:
    uid = hospitals.study(feature, site)["study_uid"]
    page.goto(f"{hospitals.gateway.url}/viewer/viewer?StudyInstanceUIDs={uid}")
    found = wait_for_pixels(page)
    save(page, tmp_path, feature)
    assert found > 25
    assert (watch.foreign, watch.refused) == ([], [])
    assert [line for line in watch.errors if "Content Security Policy" in line] == []


# A client of its own, of nothing but the browser and PS3.18: search, metadata, one frame.
CLIENT = """async (study) => {
  const json = async (path) => {
    const answer = await fetch("/dicom-web" + path, {headers: {Accept: "application/dicom+json"}});
    return answer.json();
  };
  const first = (row, tag) => row[tag].Value[0];
  const [found] = await json(`/studies?StudyInstanceUID=${study}&limit=5`);
  const [series] = await json(`/studies/${study}/series`);
  const below = `/studies/${study}/series/${first(series, "0020000E")}`;
  const [image] = await json(below + "/metadata");
  const answer = await fetch(
    `/dicom-web${below}/instances/${first(image, "00080018")}/frames/1`,
    {headers: {Accept: 'multipart/related; type="application/octet-stream"'}},
  );
  const boundary = /boundary="?([^";]+)/.exec(answer.headers.get("Content-Type"))[1];
  const text = new TextDecoder("latin1").decode(await answer.arrayBuffer());
  const begin = text.indexOf("\\r\\n\\r\\n") + 4;
  const frame = text.slice(begin, text.indexOf("\\r\\n--" + boundary, begin));
  return {
    found: first(found, "0020000D"),
    bytes: frame.length,
    wanted: first(image, "00280010") * first(image, "00280011") * first(image, "00280100") / 8
      * first(image, "00280002"),
    shades: new Set(frame).size,
    closed: text.endsWith(`--${boundary}--`) || text.endsWith(`--${boundary}--\\r\\n`),
  };
}"""


@pytest.mark.parametrize(
    ("feature", "site"), [("ct200", "gkb1"), ("jpeg2000", "gkb1"), ("jpegls", "zlat")]
)
def test_a_second_client_gets_the_pixels_too(
    page: Page, hospitals: Hospitals, watch: Watch, feature: str, site: str
) -> None:
    uid = hospitals.study(feature, site)["study_uid"]
    page.goto(hospitals.gateway.url + "/upload")  # a page that may ask its own server
    told = page.evaluate(CLIENT, uid)
    assert (told["found"], told["bytes"], told["closed"]) == (uid, told["wanted"], True)
    assert (told["shades"] > 25, watch.foreign, watch.refused) == (True, [], [])


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_first_page_fits_its_screen(
    page: Page, hospitals: Hospitals, watch: Watch, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(hospitals.gateway.url + "/")
    expect(page.get_by_role("link", name="Открыть просмотр снимков")).to_be_visible()
    assert page.get_by_text("● отвечает").count() == 3
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert (overflow <= 0, watch.foreign, watch.errors) == (True, [], [])


def test_the_first_page_leads_to_the_viewer(page: Page, hospitals: Hospitals) -> None:
    page.goto(hospitals.gateway.url + "/")
    page.get_by_role("link", name="Открыть просмотр снимков").click()
    expect(page.get_by_text("Кузнецова").first).to_be_visible(timeout=PATIENCE_MS)
