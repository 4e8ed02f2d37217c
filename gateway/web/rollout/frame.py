"""The frame of the ministry's pages: one language at a time, mistakes told as pages, and no page
made twice: its tag is of the snapshot, the register, the language, the question and the reader.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from flask import Response, g, render_template, request, url_for

from gateway.bootstrap import Gateway
from gateway.errors import BadRequest, ForeignPage, GatewayError, NotFound, RegisterChanged
from gateway.model.access import Action
from gateway.model.rollout.figures import REGION
from gateway.model.wording import Words
from gateway.rollout.register import Shelf
from gateway.rollout.report import zone_of
from gateway.rollout.sender_shelf import SenderShelf
from gateway.web.console.words import PROBLEMS
from gateway.web.errors import answer_of
from gateway.web.packed import PackedBodies, packed_answer
from gateway.web.permissions import may
from gateway.web.problem_page import page_of
from gateway.web.rollout import words
from gateway.web.rollout.language import LANGUAGES, Language, language_of
from gateway.web.rollout.shown import Shown
from gateway.web.rollout.teller import Teller

PLACE = "0-0-0"
MOST_BYTES = 8 * 2**20  # of pages that were made, packed
HTML = "text/html; charset=utf-8"
NO_FIGURES = (
    Words("Показателей ещё нет", "There are no figures yet"),
    Words(
        "Их берут каждую ночь, как только в реестре есть организации. Взять сейчас: "
        "gateway rollout snapshot.",
        "They are taken each night, as soon as the register has facilities. To take them now: "
        "gateway rollout snapshot.",
    ),
)
OWN = (BadRequest, NotFound, RegisterChanged, ForeignPage)
"""Mistakes that these pages tell in their own language; all others are told as everywhere."""
WEB = Path(__file__).parent.parent


@dataclass(frozen=True)
class Desk:
    """What every page needs; one for each process."""

    gateway: Gateway
    teller: Teller
    shelf: Shelf
    senders: SenderShelf
    code: str
    made: PackedBodies = field(default_factory=lambda: PackedBodies(MOST_BYTES))

    @property
    def zone(self) -> ZoneInfo:
        return zone_of(self.gateway.region)

    def page(
        self,
        name: str,
        shown: Shown,
        tell: Callable[[Language], Mapping[str, Any]],
        also: object = "",
    ) -> Response:
        """A page of templates/rollout/; 304 for who has it already.

        tell  its facts; not called for a page that was made before
        also  what it shows beside what is shown to everyone
        """
        language = language_of(request.args.get("lang", ""))
        tag = self._tag(shown, also)
        if request.if_none_match.contains_weak(tag):
            answer = Response(status=304)
        else:
            packed = self.made.find(tag)
            if packed is None:
                page = self._render(name, language, shown=shown, **tell(language))
                packed = self.made.keep(tag, page.encode())
            assert packed is not None, "a page is no study"  # noqa: S101
            answer = packed_answer(packed, HTML)
        answer.set_etag(tag, weak=True)
        answer.headers["Cache-Control"] = "private, no-cache"
        answer.vary.update(("Authorization", "Cookie"))
        return answer

    def form_page(
        self, name: str, shown: Shown, tell: Callable[[Language], Mapping[str, Any]]
    ) -> Response:
        """A page with forms: their tokens are its reader's, so it is made anew for each."""
        language = language_of(request.args.get("lang", ""))
        answer = Response(self._render(name, language, shown=shown, **tell(language)))
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def plain_page(self, name: str, *, status: int = 200, **facts: Any) -> Response:
        """A page that no snapshot stands behind, made anew for each reader."""
        language = language_of(request.args.get("lang", ""))
        answer = Response(self._render(name, language, **facts), status)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def problem(self, error: GatewayError) -> Response:
        """A page that says what is wrong; the status is that of web/errors.py."""
        plain = answer_of(error)
        if "actor" not in g or not isinstance(error, OWN):  # or: refused before it was known who
            return page_of(plain, error, self.gateway.settings.base_url)
        told = next((w for kind, w in PROBLEMS.items() if isinstance(error, kind)), None)
        if isinstance(error, NotFound) and error.what == "snapshot":
            told = NO_FIGURES
        code = request.args.get("lang", "ru")
        language = LANGUAGES.get(code, LANGUAGES["ru"])
        field = error.field if isinstance(error, BadRequest) else ""
        problem = error.problem if isinstance(error, BadRequest) else ""
        page = self._render(
            "problem", language, words=told or PROBLEMS[Exception], field=field, problem=problem
        )
        return Response(page, plain.status_code)

    def _sites(self, language: Language) -> dict[str, str]:
        sites = self.gateway.region.sites
        return {one.site_id: language.say(one.name_ru, one.name_en) for one in sites}

    def _tag(self, shown: Shown, also: object) -> str:
        rights = ",".join(str(action) for action in Action if may(action))
        asked = (self.code, shown.mark, request.full_path, rights, repr(also))
        return sha256("\n".join(asked).encode()).hexdigest()[:32]

    def _render(self, name: str, language: Language, **facts: Any) -> str:
        return render_template(
            f"rollout/{name}.html", region=self.gateway.region, lang=language, say=language.say,
            may=_may, link=link, many=many, same=_same_page, names=words, zone=self.zone,
            REGION=REGION, sites=self._sites(language),
            signs_in=self.gateway.settings.access == "login", **facts,
        )  # fmt: skip


def link(endpoint: str, **values: Any) -> str:
    """An address in the language of the page at hand."""
    code = request.args.get("lang", "")
    return url_for(f"rollout.{endpoint}", **values, lang="en" if code == "en" else None)


def many(endpoint: str, name: str, **values: Any) -> Callable[[str], str]:
    """Addresses of hundreds of rows that differ in one value; Flask builds one of them."""
    pattern = link(endpoint, **values, **{name: PLACE})
    return lambda value: pattern.replace(PLACE, quote(value, safe=""))


def _may(action: str) -> bool:
    """Nothing, where it was not found out who asks."""
    return "actor" in g and may(Action(action))


def _same_page(code: str) -> str:
    """The page at hand in a language."""
    if request.endpoint is None or request.method != "GET":
        return url_for("rollout.glance", lang=code)
    asked = {name: value for name, value in request.args.items() if name != "lang"}
    return url_for(request.endpoint, **{**asked, **(request.view_args or {}), "lang": code})


def mark_of_code() -> str:
    """Changes when a template does: an upgraded gateway sends its pages anew."""
    found = sha256()
    for folder in ("templates/rollout", "rollout"):
        for path in sorted((WEB / folder).glob("*.*")):
            found.update(path.read_bytes())
    return found.hexdigest()
