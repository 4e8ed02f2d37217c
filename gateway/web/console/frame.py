"""The frame of the console: pages, mistakes told as pages, and who may send a form (trust.md H60).

A form counts only if its page was ours: the browser names the page's origin, which no other page
can forge, and the form brings back the page's token. A page shows itself again every few seconds
(static/console.js), so all of it is plain HTML that also works without a script.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial, wraps
from typing import ParamSpec
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import BadRequest, ForeignPage, GatewayError, NotAllowed, NotFound, NotSignedIn
from gateway.log import log
from gateway.model.access import LOCAL_OPERATOR, NOBODY, Action
from gateway.model.delivery_words import ARRIVED, STATES, reason_in_words
from gateway.model.sites import Site
from gateway.model.wording import Words, number, span, volume
from gateway.records.accounts import name_of
from gateway.web.console.words import DONE, LANE_WORDS, PROBLEMS, field_words
from gateway.web.errors import answer_of, lead_to_sign_in
from gateway.web.form_tokens import check_token
from gateway.web.permissions import may

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FORM_LIMIT = 64 * 1024
MOST_TEXT = 4_000_000
MOST_LETTERS = 200
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
DOOR = "console"
P = ParamSpec("P")


def guard(door: Blueprint, problem: Callable[[GatewayError], Response]) -> None:
    """Tell mistakes as pages, and send the headers of a page.

    problem  the page that says what is wrong
    """

    door.register_error_handler(NotSignedIn, lead_to_sign_in)

    @door.before_request
    def keep_small() -> None:
        request.max_content_length = FORM_LIMIT

    @door.after_request
    def finish(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = PAGE_POLICY
        # With no-referrer a browser would send its forms as from nowhere.
        answer.headers["Referrer-Policy"] = "same-origin"
        return answer

    @door.errorhandler(GatewayError)
    def on_gateway_error(error: GatewayError) -> Response:
        if not isinstance(error, BadRequest | NotFound | NotAllowed):
            facts = {"error": type(error).__name__, "why": str(error)}
            log.warning("page refused", door=door.name, **facts)
        return problem(error)

    @door.errorhandler(HTTPException)
    def on_http_error(error: HTTPException) -> Response:
        answer = problem(BadRequest("form", error.name.lower()))
        answer.status_code = error.code or answer.status_code
        return answer


def own_form(
    gateway: Gateway, most_bytes: int = FORM_LIMIT
) -> Callable[[Callable[P, Response]], Callable[P, Response]]:
    """Marks a view that changes something: it takes forms of our own pages alone.

    most_bytes  of a form with its files; its texts alone are at most MOST_TEXT
    """
    origins = own_origins(gateway.settings.base_url)

    def mark(view: Callable[P, Response]) -> Callable[P, Response]:
        @wraps(view)
        def judged(*args: P.args, **kwargs: P.kwargs) -> Response:
            if request.headers.get("Origin") not in origins:
                raise ForeignPage(f"a form of the console is sent from none of {sorted(origins)}")
            request.max_content_length = most_bytes
            request.max_form_memory_size = min(most_bytes, MOST_TEXT)
            check_token()
            return view(*args, **kwargs)

        return judged

    return mark


def reach() -> frozenset[str] | None:
    """Sites whose studies the actor of this request may see here; None: of every site."""
    found: frozenset[str] | None = g.decision.scope.sites
    return found


def check_site(gateway: Gateway, site_id: str) -> Site:
    """raises NotFound for a site that region.toml does not name, or that lies out of reach"""
    site, within = gateway.region.site(site_id), reach()
    if site is None or (within is not None and site_id not in within):
        raise NotFound("site")
    return site


def actor() -> str:
    """Who is recorded beside an act: an id of ours, never a name."""
    return DOOR if g.actor == LOCAL_OPERATOR else f"{DOOR}:{g.actor.subject}"


def who(gateway: Gateway, by: str) -> str:
    """Who did something, as people know them."""
    door, _, account_id = by.partition(":")
    if door != DOOR:
        return by
    return name_of(gateway.records, account_id) or account_id or "консоль · console"


def own_origins(base_url: str) -> frozenset[str]:
    """Origins of our own pages; a machine has several names for itself."""
    parts = urlsplit(base_url)
    host, colon, port = parts.netloc.rpartition(":")
    if not colon or not port.isdecimal():
        host, colon, port = parts.netloc, "", ""
    hosts = LOOPBACK if host in LOOPBACK else (host,)
    return frozenset(f"{parts.scheme}://{name}{colon}{port}" for name in hosts)


def problem_page(gateway: Gateway, error: GatewayError) -> Response:
    """A page that says what is wrong and what to do; the status is that of web/errors.py."""
    plain = answer_of(error)
    g.setdefault("actor", NOBODY)  # refused before it was known who asks
    words = next(
        (w for kind, w in PROBLEMS.items() if isinstance(error, kind)), PROBLEMS[Exception]
    )
    field = field_words(error.field) if isinstance(error, BadRequest) else None
    answer = show(
        gateway, "problem", status=plain.status_code, words=words, field=field,
        problem=error.problem if isinstance(error, BadRequest) else "",
        address=gateway.settings.base_url,
    )  # fmt: skip
    if "Retry-After" in plain.headers:
        answer.headers["Retry-After"] = plain.headers["Retry-After"]
    return answer


@dataclass(frozen=True)
class Did:
    """What has just been done, for the line on top of a page; act: a key of words.DONE."""

    act: str = ""
    count: int = 0


def show(
    gateway: Gateway, name: str, *, status: int = 200, did: Did | None = None, **facts: object
) -> Response:
    """A page of templates/console/, with the words that every page uses."""
    region = gateway.region
    sites = {site.site_id: Words(site.name_ru, site.name_en) for site in region.sites}
    places = {d.destination_id: Words(d.name_ru, d.name_en) for d in region.destinations}
    page = render_template(
        f"console/{name}.html",
        region=region, now=utc_now(), clock=clock_of(gateway), site_names=sites, place_names=places,
        number=number, span=span, volume=volume, reason_in_words=reason_in_words, STATES=STATES,
        ARRIVED=ARRIVED, LANE_WORDS=LANE_WORDS, DONE=DONE, did=did or Did(),
        may=lambda action: may(Action(action)), me=actor(), is_local=g.actor == LOCAL_OPERATOR,
        who=partial(who, gateway), **facts,
    )  # fmt: skip
    return Response(page, status)


def clock_of(gateway: Gateway) -> "Clock":
    """The clock of the region's home site."""
    region = gateway.region
    home = region.site(region.home_site)
    return Clock(ZoneInfo(home.time_zone if home else "UTC"))


@dataclass(frozen=True)
class Clock:
    """Moments as the region's people read them."""

    zone: ZoneInfo

    def __call__(self, moment: datetime) -> str:
        return f"{moment.astimezone(self.zone):%d.%m.%Y %H:%M:%S}"

    @property
    def name(self) -> str:
        offset = utc_now().astimezone(self.zone).utcoffset() or timedelta()
        return f"{self.zone.key}, UTC{offset / timedelta(hours=1):+g}"


def back_to(endpoint: str, **values: object) -> Response:
    """To another page of ours, after an act."""
    answer = redirect(url_for(endpoint, **values), 303)  # type: ignore[arg-type]
    assert isinstance(answer, Response)  # noqa: S101 - flask.redirect is hinted wider
    return answer


def text_of(given: Mapping[str, str], name: str, *, required: bool = False) -> str:
    """A field of a form or an address; raises BadRequest that names it."""
    text = " ".join(given.get(name, "").split())
    if len(text) > MOST_LETTERS:
        raise BadRequest(name, f"is longer than {MOST_LETTERS} letters")
    if not text.isprintable():
        raise BadRequest(name, "has letters that cannot be shown")
    if required and not text:
        raise BadRequest(name, "is missing")
    return text


def choice_of(given: Mapping[str, str], name: str, choices: Mapping[str, object]) -> str:
    """A field that has one of these values, or none; raises BadRequest that names it."""
    text = text_of(given, name)
    if text and text not in choices:
        raise BadRequest(name, "is none of " + ", ".join(choices))
    return text


def count_of(given: Mapping[str, str], name: str) -> int:
    """A whole number, 0 if it is absent; raises BadRequest that names it."""
    text = given.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) < len(str(10**9))):
        raise BadRequest(name, "is no number")
    return int(text)


def did_of(given: Mapping[str, str]) -> Did:
    """As an address says it after an act."""
    return Did(choice_of(given, "done", DONE), count_of(given, "count"))
