"""What people and images write stays text on every page of the console (trust.md H31, H35, H38)."""

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest

from gateway.bootstrap import build_gateway
from gateway.clock import utc_now
from gateway.model.deliveries import Event
from gateway.model.routing.document import parse_rule_set
from gateway.records.alarms import write_alarm
from gateway.records.arrivals import Arrived
from gateway.records.deliveries import Report, Wanted
from gateway.records.dispatch import claim, save_report
from gateway.records.planning import Decided, save_decided
from gateway.records.rules import activate, save_version
from gateway.settings import Settings
from gateway.web import create_app
from tests.arrived import NOW, a_manifest, arrival_of, room, touch
from tests.web.test_console import REGION

PAYLOADS = (
    "<script>pwned()</script>",
    "<ScRiPt src=//evil>",
    '"><svg onload=pwned()>',
    "<img src=x onerror=pwned()>",
    "javascript:pwned()",
    "' onmouseover='pwned()",
    '" autofocus onfocus="pwned()',
    "</title><script>pwned()</script>",
    "</textarea><script>pwned()</script>",
    "<iframe srcdoc='<script>pwned()</script>'>",
    "<a href=javascript:pwned()>x</a>",
    "<math><mi xlink:href=javascript:pwned()>",
    "<object data=javascript:pwned()>",
    "<embed src=//evil>",
    "<base href=//evil/>",
    "<meta http-equiv=refresh content=0;url=//evil>",
    "<link rel=stylesheet href=//evil>",
    "<style>*{background:url(//evil)}</style>",
    "<form action=//evil><button>",
    "<details open ontoggle=pwned()>",
    "<video><source onerror=pwned()>",
    "<body onload=pwned()>",
    "<marquee onstart=pwned()>",
    "--><script>pwned()</script>",
    "]]><script>pwned()</script>",
    "<x onclick=pwned()>",
    "&lt;script&gt;pwned()",
    "{{7*7}}",
    "{% raw %}${7*7}#{7*7}",
    "<input onfocus=pwned() autofocus>",
)
TEXT = " ".join(PAYLOADS)
RULES = """
site: gkb1
rules:
  - id: all
    name: NAME
    state: active
    when:
      all: [{field: StudyDescription, op: contains, value: NAME}]
    then: [{do: send, target: archive}]
otherwise: [{do: hold, reason: NAME}]
"""


class Marks(HTMLParser):
    """What a page makes a browser do: where it leads, and what in it would run."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.runs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.runs += [f"{tag} {name}" for name in known if name.startswith("on")]
        places = [known[name] for name in ("href", "src", "action", "data") if name in known]
        self.runs += [place for place in places if not place.startswith(("/", "#", "?"))]
        if tag in ("svg", "math", "iframe", "object", "embed", "base", "style", "video", "marquee"):
            self.runs += [tag] if tag != "svg" else []
        if tag == "a":
            self.links.add(known.get("href", ""))


@pytest.fixture
def gateway(tmp_path):
    """Each word that somebody else chooses holds every payload."""
    name = TEXT.replace('"', '\\"')
    region = REGION.replace("Первая больница", name).replace("First hospital", name)
    (tmp_path / "region.toml").write_text(region, encoding="utf-8")
    settings = Settings(
        region=tmp_path / "region.toml", state_dir=tmp_path, redis_url="redis://127.0.0.1:1/0"
    )
    gateway = build_gateway(settings)
    records = gateway.records
    for n, payload in enumerate(PAYLOADS):
        uid = f"1.2.826.0.1.{n}"
        touch(records, uid, 2, NOW)
        seen = arrival_of(records, uid)
        if n % 2:
            wanted = (Wanted("archive", "routine", f"gkb1/{payload}"[:96], NOW),)
            decided = Decided(
                Arrived.PLANNED, versions="gkb1:1", manifest=a_manifest(uid, 2), wanted=wanted
            )
        else:
            decided = Decided(Arrived.HELD, payload, rule=f"gkb1/{payload}"[:96])
        save_decided(records, seen, decided, NOW, None)
        with records.write() as connection:
            facts = {"reason": payload, "closed_because": payload, "sites": [payload]}
            write_alarm(connection, "refused_other_content", f"{uid}{payload}"[:64], facts, NOW)
        rule_set, mistakes = parse_rule_set(RULES.replace("NAME", repr(payload)))
        assert rule_set, (payload, mistakes)
        number = save_version(records, rule_set, payload, payload, n, NOW)
    now = utc_now()
    activate(records, "gkb1", number, now, payload, now)
    for one in claim(records, room(), utc_now(), None):
        trouble = {"1.2.3": ("failed", PAYLOADS[0])}
        report = Report(Event.REFUSED, PAYLOADS[1], trouble)
        save_report(records, one.delivery_id, one.fence, report, utc_now(), PAYLOADS[2], None)
    yield gateway
    gateway.pool.shutdown()
    records.close()


def test_no_word_of_others_runs_on_any_page(gateway):
    client = create_app(gateway).test_client()
    due, seen, told = ["/console"], set(), 0
    while due:
        path = due.pop()
        answer = client.get(path, follow_redirects=True)
        if answer.mimetype != "text/html":
            continue
        assert answer.status_code in (200, 400, 404), path
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        page = answer.get_data(as_text=True)
        told += "pwned" in page
        marks = Marks()
        marks.feed(page)
        assert marks.runs == [], path
        assert "<script>pwned" not in page
        for link in marks.links:
            place = urlsplit(urljoin(path, link))
            key = place.path + (f"?{place.query}" if place.query else "")
            if key.startswith("/console") and key not in seen and len(seen) < 250:
                seen.add(key)
                due.append(key)
    assert len(seen) > 30
    assert told > 20, "the payloads were there to be shown"
