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
from gateway.model.access import (
    IMAGES,
    NOBODY,
    Actor,
    Duty,
    Post,
    Purpose,
    Reach,
    Role,
    duties_of,
)
from gateway.model.credentials import digest
from gateway.model.outside import Posts, kid_of, mark_of_session, posts_of, read_access_token
from gateway.model.sharing import Share
from gateway.model.tokens import Claims, actions_of, read_key, read_token
from gateway.openid import Issuer
from gateway.records.clients import load_client, load_refused, load_signing_keys
from gateway.records.outside import find_outsider, save_outsider
from gateway.records.sessions import (
    Session,
    load_session,
    load_session_of_token,
    save_seen,
)
from gateway.records.sharing import granted_studies, load_link_session

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

    def __init__(self, gateway: Gateway, outside: Issuer | None = None) -> None:
        self._gateway = gateway
        self._outside = outside
        self._wide = gateway.settings.doctors_read == "region"
        base = urlsplit(gateway.settings.base_url)
        self.issuer = gateway.settings.base_url
        self._host = base.netloc
        self.is_secure = base.scheme == "https"
        # A name that a browser takes for this host alone, over TLS alone (trust.md H64).
        self.cookie = "__Host-gateway" if self.is_secure else "gateway"
        self.link_cookie = self.cookie + "-link"
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
            link = request.cookies.get(self.link_cookie)
            return NOBODY if link is None else self._remembered(link, self._of_link)
        if header is not None and secret is not None:
            raise BadRequest("Authorization", "comes together with a session; send one of them")
        if secret is not None:
            if request.method not in SAFE and not self._is_own_page():
                raise NotAllowed
            return self._remembered(secret, self._of_session)
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer":
            raise NotSignedIn
        return self._remembered(token, self.of_token)

    def ask_again(self) -> tuple[str, Callable[[], Actor]]:
        """(mark of the credentials of the request at hand, what finds out who they are of, now)"""
        secret = request.cookies.get(self.cookie)
        if secret is not None:
            return digest(secret), lambda: self._of_session(secret)
        link = request.cookies.get(self.link_cookie)
        if link is not None and "Authorization" not in request.headers:
            return digest(link), lambda: self._of_link(link)
        token = request.headers.get("Authorization", "").partition(" ")[2]
        return digest(token), lambda: self.of_token(token)

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

    def forget_all(self) -> None:
        """Somebody has left, and which credentials are theirs is not known here."""
        with self._lock:
            self._kept.clear()
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

    def session(self) -> Session:
        """The session of the request at hand, as it is now; raises NotSignedIn."""
        return self._session(request.cookies.get(self.cookie, ""))

    def _session(self, secret: str) -> Session:
        if not SECRET.fullmatch(secret):
            raise NotSignedIn
        found = load_session(self._gateway.records, secret, utc_now())
        if found is None:
            raise NotSignedIn
        return found

    def _of_session(self, secret: str) -> Actor:
        found, now = self._session(secret), utc_now()
        with suppress(RecordsUnavailable):
            save_seen(self._gateway.records, found, now)
        duties = duties_of(found.posts, wide=self._wide)
        if granted := granted_studies(self._gateway.records, found.account_id, now):
            duties += (Duty(Role.EXPERT, Reach(studies=frozenset(granted))),)
        files = frozenset(study_uid for study_uid, given in granted.items() if given)
        return Actor(found.account_id, duties, found.purpose, "session", files=files)

    def link(self) -> Share | None:
        """What the patient's link of the request at hand shows; None if it is over."""
        secret = request.cookies.get(self.link_cookie, "")
        return load_link_session(self._gateway.records, secret, utc_now())

    def _of_link(self, secret: str) -> Actor:
        found = load_link_session(self._gateway.records, secret, utc_now())
        if found is None:
            return NOBODY
        duty = Duty(Role.PATIENT, Reach(studies=frozenset({found.study_uid})))
        return Actor(found.share_id, (duty,), Purpose.PATIENT_REQUEST, "link")

    def of_token(self, token: str) -> Actor:
        """raises NotSignedIn; IssuerUnavailable if it is another issuer's, and that one is away"""
        if self._outside is not None and self._outside.audience:
            kid = kid_of(token)
            if kid not in self._keys.get():
                return self._of_outsider(token, self._outside)
        found = self.claims(token)
        posts = self._posts_now(found)
        duties = duties_of([one for one in found.posts if one in posts], wide=self._wide)
        if not duties:
            raise NotSignedIn
        return Actor(found.subject, duties, found.purpose, "token", actions_of(found.scope))

    def _of_outsider(self, token: str, issuer: Issuer) -> Actor:
        """Somebody with another issuer's token: for images alone, as `[identity]` says now."""
        now, records = utc_now(), self._gateway.records
        said = read_access_token(token, issuer.key, issuer.name, issuer.audience, now)
        posts = posts_of(self._gateway.region.posts or Posts(), said.claims)
        duties = duties_of(posts, wide=self._wide)
        ended, _ = self._refused.get()
        if not duties or (said.sid and mark_of_session(issuer.name, said.sid) in ended):
            raise NotSignedIn
        known = find_outsider(records, issuer.name, said.subject)
        if known is None:
            known = save_outsider(records, issuer.name, said.subject, said.name, posts, now)
        left = known.signed_out_at
        if known.locked or (left is not None and said.issued_at <= left):
            raise NotSignedIn
        return Actor(known.account_id, duties, said.purpose, "token", IMAGES)

    def _posts_now(self, found: Claims) -> tuple[Post, ...]:
        """A token gives no right that its bearer has lost since, and none after the session."""
        records = self._gateway.records
        if found.subject == found.client_id:
            client = load_client(records, found.client_id)
            return () if client is None else client.posts
        session = load_session_of_token(records, found.session_id, utc_now())
        return () if session is None or session.account_id != found.subject else session.posts

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
