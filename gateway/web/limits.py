"""How much one caller may ask in a minute (README has the table of these and all other limits).

Rates count where people and programs sign in: by who asks, or by address where nobody has said yet
who he is. They are counted in Redis for all web processes, without it in each (turns.py). A frame
of a series is never counted: it costs a look into a dict here and nothing else, so
this is no Flask-Limiter.
"""

from collections import Counter
from dataclasses import dataclass
from threading import Lock

from flask import Flask, Response, g, request

from gateway.errors import TooManyTries
from gateway.model.access import Action
from gateway.model.credentials import network_of
from gateway.settings import Settings
from gateway.turns import Turns
from gateway.web.identity import address_of_caller
from gateway.web.permissions import action_of
from gateway.web.withdrawal import Watched

DOWNLOADS_AT_ONCE = 8
AGAIN_S = 5.0
WHOLE = tuple(f"{view}{n}" for view in ("dicom", "allbulkdata", "pixeldata") for n in (0, 1))
"""Views of wado.py that give a whole study or series."""


@dataclass(frozen=True)
class Rate:
    """So many a minute; by address, or by who asks."""

    kind: str
    most: int
    by_address: bool
    ru: str
    en: str


ENTRANCES = ("sign_in.", "sharing.")
"""Where a person proves something."""
TO_ISSUER = ("outside.leave", "outside.come_back")
"""Each may cost the issuer a question; its own word that somebody left is never held up."""
SIGN_IN = Rate("sign_in", 300, True, "входов с адреса", "sign-ins from an address")
TOKEN = Rate("token", 600, True, "обращений за токеном с адреса", "token requests from an address")
SEARCH = Rate("search", 600, False, "поисков", "searches")
DOWNLOAD = Rate("download", 120, False, "исследований и серий целиком", "whole studies and series")
EXPORT = Rate("export", 120, False, "чтений аудита и показателей", "readings of audit and figures")
EMERGENCY = Rate("emergency", 20, False, "экстренных доступов", "emergency accesses")
RATES = (SIGN_IN, TOKEN, SEARCH, DOWNLOAD, EXPORT, EMERGENCY)
OF_ACTION = {
    Action.SEARCH: SEARCH,
    Action.READ_AUDIT: EXPORT,
    Action.READ_FIGURES: EXPORT,
}


class Limits:
    """Counts what callers of this process ask; safe for threads and greenlets."""

    def __init__(self, redis_url: str) -> None:
        self._turns = {rate: Turns(redis_url, rate.kind, rate.most) for rate in RATES}
        self._downloads: Counter[str] = Counter()
        self._lock = Lock()
        self.rate_of: dict[str, Rate] = {}

    def count(self) -> None:
        """One more of the request at hand; raises TooManyTries"""
        rate = self.rate_of.get(request.endpoint or "")
        if rate is None or request.method in ("OPTIONS", "HEAD"):
            return
        who = network_of(address_of_caller()) if rate.by_address else g.actor.subject
        wait_s = self._turns[rate].take(who)
        if wait_s > 0:
            raise TooManyTries(wait_s)
        if rate is DOWNLOAD:
            self._begin(g.actor.subject)
            g.downloads = g.actor.subject

    def _begin(self, who: str) -> None:
        with self._lock:
            if self._downloads[who] >= DOWNLOADS_AT_ONCE:
                raise TooManyTries(AGAIN_S)
            self._downloads[who] += 1

    def watch(self, answer: Response) -> Response:
        """A download is over when its body has ended, however it ended."""
        who = g.pop("downloads", None)
        if who is None:
            return answer
        if answer.is_streamed:
            answer.response = Watched(answer.response, lambda: self._end(who))
        else:
            answer.call_on_close(lambda: self._end(who))
        return answer

    def _end(self, who: str) -> None:
        with self._lock:
            self._downloads[who] -= 1
            if self._downloads[who] <= 0:
                del self._downloads[who]


def register(app: Flask, settings: Settings) -> None:
    """To be called when all routes stand, after the permissions: they find out who asks."""
    limits = Limits(settings.redis_url)
    for rule in app.url_map.iter_rules():
        methods = rule.methods or set()
        name = rule.endpoint.rpartition(".")[2]
        action = action_of(app, rule)
        proves = "POST" in methods and action is Action.OPEN
        if (proves and rule.endpoint.startswith(ENTRANCES)) or rule.endpoint in TO_ISSUER:
            limits.rate_of[rule.endpoint] = SIGN_IN
        elif action is Action.BREAK_GLASS and "POST" in methods:
            limits.rate_of[rule.endpoint] = EMERGENCY
        elif rule.endpoint.startswith("oauth.") and "POST" in methods and action is Action.OPEN:
            limits.rate_of[rule.endpoint] = TOKEN
        elif name in WHOLE and action is Action.RETRIEVE:
            limits.rate_of[rule.endpoint] = DOWNLOAD
        elif action in OF_ACTION:
            limits.rate_of[rule.endpoint] = OF_ACTION[action]
    app.before_request(limits.count)
    app.after_request(limits.watch)
