"""Who sends a request: a session's cookie or a bearer token, one of the two (trust.md H48).

What was found out is kept for 2 seconds: so long a session, an account, a client or a token that
was withdrawn may go on in this process.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from urllib.parse import urlsplit

from flask import current_app, request
from joserfc.jwk import ECKey

from gateway.bootstrap import Gateway, Reread
from gateway.clock import monotonic_s, utc_now
from gateway.errors import BadRequest, NotAllowed, NotSignedIn, RecordsUnavailable
from gateway.log import log
from gateway.model.access import NOBODY, Actor, Post, duties_of
from gateway.model.credentials import digest
from gateway.model.tokens import Claims, read_key, read_token
from gateway.records.accounts import load_posts
from gateway.records.clients import load_client, load_refused, load_signing_keys
from gateway.records.sessions import load_session, save_seen

KEEP_S = 2.0
KEEP_MOST = 10_000
SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class _Kept:
    actor: Actor
    until_s: float


class Identity:
    """Finds out who asks; one for each process, safe for threads and greenlets."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._wide = gateway.settings.doctors_read == "region"
        base = urlsplit(gateway.settings.base_url)
        self.issuer = gateway.settings.base_url
        self._host = base.netloc
        self.is_secure = base.scheme == "https"
        # A name that a browser takes for this host alone, over TLS alone (trust.md H64).
        self.cookie = "__Host-gateway" if self.is_secure else "gateway"
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._claims: OrderedDict[str, Claims] = OrderedDict()
        self._lock = Lock()
        self._keys = Reread(self._read_keys, KEEP_S)
        self._refused = Reread(lambda: load_refused(gateway.records), KEEP_S)

    def __call__(self) -> Actor:
        """The actor of the request at hand; NOBODY without credentials.

        raises  NotSignedIn for credentials that are no good; BadRequest for two of them;
                NotAllowed for a form that another site's page has sent (H60)
        """
        header = request.headers.get("Authorization")
        secret = request.cookies.get(self.cookie)
        if header is None and secret is None:
            return NOBODY
        if header is not None and secret is not None:
            raise BadRequest("Authorization", "comes together with a session; send one of them")
        if secret is not None:
            if request.method not in SAFE and not self._is_own_page():
                raise NotAllowed
            return self._remembered(secret, self._of_session)
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer":
            raise NotSignedIn
        return self._remembered(token, self._of_token)

    def _is_own_page(self) -> bool:
        """A browser says with every form where its page came from.

        Sec-Fetch-Site is said over TLS and on this host; Origin is "null" for a form of a page that
        tells no referrer.
        """
        said = request.headers.get("Sec-Fetch-Site")
        if said is not None:
            return said == "same-origin"
        origin = urlsplit(request.headers.get("Origin", ""))
        return bool(origin.netloc) and origin.netloc in (self._host, request.host)

    def claims(self, token: str) -> Claims:
        """What a token says that is still good; raises NotSignedIn."""
        mark = digest(token)
        now = utc_now()
        found = self._claims.get(mark)
        if found is None:
            found = read_token(token, self._keys.get(), self.issuer, now)
            with self._lock:
                self._claims[mark] = found
                while len(self._claims) > KEEP_MOST:
                    self._claims.popitem(last=False)
        tokens, clients = self._refused.get()
        if found.jti in tokens or found.client_id in clients or now > found.ends_at:
            raise NotSignedIn
        return found

    def forget(self, secret: str) -> None:
        """What was just ended is not believed any more, in this process at once."""
        with self._lock:
            self._kept.pop(digest(secret), None)
        self._refused.forget()

    def _remembered(self, secret: str, find: Callable[[str], Actor]) -> Actor:
        mark, now_s = digest(secret), monotonic_s()
        kept = self._kept.get(mark)
        if kept is not None and now_s < kept.until_s:
            return kept.actor
        actor = find(secret)
        with self._lock:
            self._kept[mark] = _Kept(actor, now_s + KEEP_S)
            self._kept.move_to_end(mark)
            while len(self._kept) > KEEP_MOST:
                self._kept.popitem(last=False)
        return actor

    def _of_session(self, secret: str) -> Actor:
        now = utc_now()
        if not SECRET.fullmatch(secret):
            raise NotSignedIn
        found = load_session(self._gateway.records, secret, now)
        if found is None:
            raise NotSignedIn
        with suppress(RecordsUnavailable):
            save_seen(self._gateway.records, found, now)
        duties = duties_of(found.posts, wide=self._wide)
        return Actor(found.account_id, duties, found.purpose, "session")

    def _of_token(self, token: str) -> Actor:
        found = self.claims(token)
        posts = self._posts_now(found)
        duties = duties_of([one for one in found.posts if one in posts], wide=self._wide)
        if not duties:
            raise NotSignedIn
        return Actor(found.subject, duties, found.purpose, "token")

    def _posts_now(self, found: Claims) -> tuple[Post, ...]:
        """A token gives no right that its bearer has lost since."""
        records = self._gateway.records
        if found.subject == found.client_id:
            client = load_client(records, found.client_id)
            return () if client is None else client.posts
        with records.read() as connection:
            return load_posts(connection, found.subject) or ()

    def _read_keys(self) -> dict[str, ECKey]:
        keys = {
            kid: read_key(public) for kid, _, public in load_signing_keys(self._gateway.records)
        }
        if not keys:
            log.error("no key for tokens; run gateway init")
        return keys


def address_of_caller() -> str:
    """Where a request comes from; as the declared proxy says, if it came through that."""
    found: str = current_app.extensions["entrance"].address()
    return found
