"""Who may reach this process, by which name, and whose word on the caller's address counts.

Host is no fact but the caller's word: links and mails are built from PUBLIC_URL alone, and a
request for any other name is refused before anybody is asked who he is (trust.md H65). Of all that
a proxy may say only X-Forwarded-For is read, only its last word, and only of a declared proxy: that
one it has written itself (H66). The same proxy may name the request; everybody else's requests get
an id of ours.
"""

import ipaddress
import itertools
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request

from gateway.errors import BadRequest, NotAllowed
from gateway.log import REQUEST
from gateway.model.credentials import new_id
from gateway.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""What a program on this host may call us; no name of the network leads there."""
FORWARDED_FOR = "X-Forwarded-For"
KEPT = 4096
REQUEST_ID = "X-Request-Id"
NAMED = re.compile(r"(?:[0-9a-f]{2}-)?([0-9a-f]{16})[0-9a-f]{16}(?:-[0-9a-f]{16}-[0-9a-f]{2})?")
"""X-Request-Id as nginx makes it, or a traceparent (W3C Trace Context): we keep 16 digits."""

NAMES_HOST = re.compile(r"[a-z]+://([^/?#]*)", re.IGNORECASE)
"""A request's target in absolute form, as proxies are asked."""


class Entrance:
    """Judges each request before any door is reached; one for each process."""

    def __init__(self, settings: Settings) -> None:
        self._hosts = settings.hosts | LOOPBACK
        self._proxies = settings.proxies
        self._open = settings.has_tls or settings.is_loopback
        self._start, self._count = new_id()[:8], itertools.count()
        # Both are asked for each frame of a series, and have a handful of answers.
        self._is_ours = lru_cache(KEPT)(self._find_host)
        self._is_proxy = lru_cache(KEPT)(self._find_peer)

    def judge(self) -> None:
        """raises BadRequest for a name that is not ours, NotAllowed past the proxy"""
        environ = request.environ
        named = self._id_of(environ)
        REQUEST.set(named)
        g.request_id = named
        host = environ.get("HTTP_HOST")
        target = environ.get("RAW_URI", "/")
        if not target.startswith("/") and (other := NAMES_HOST.match(target)) is not None:
            host = other[1]  # whatever Host says (RFC 9112 3.2.2)
        if host is not None and not self._is_ours(host):  # HTTP/1.0 may name none
            raise BadRequest("Host", "is no name of this service (GATEWAY_TRUSTED_HOSTS)")
        if not self._open and not self._may_come(environ.get("REMOTE_ADDR", "")):
            raise NotAllowed

    def address(self) -> str:
        """Where the request at hand comes from."""
        peer = request.remote_addr or ""
        if not self._is_proxy(peer):
            return peer
        told = request.headers.get(FORWARDED_FOR, "").rpartition(",")[2].strip()
        try:
            return str(ipaddress.ip_address(told))
        except ValueError:
            return peer

    def _id_of(self, environ: "WSGIEnvironment") -> str:
        told = environ.get("HTTP_X_REQUEST_ID") or environ.get("HTTP_TRACEPARENT")
        if told and self._is_proxy(environ.get("REMOTE_ADDR", "")):
            named = NAMED.fullmatch(told)
            if named is not None:
                return named[1]
        # A thousand a second: a count behind a random start, no fresh random number for each.
        return f"{self._start}{next(self._count) & 0xFFFFFFFF:08x}"

    def _find_host(self, host: str) -> bool:
        name, mark, port = host.rpartition(":")
        if not mark or "]" in port:
            name, port = host, ""
        return (not port or port.isdecimal()) and name.strip("[]").lower() in self._hosts

    def _find_peer(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._proxies)

    def _may_come(self, peer: str) -> bool:
        """Without TLS of our own nobody comes past the proxy but this host's health checks."""
        return peer in LOOPBACK or self._is_proxy(peer)


def register(app: Flask, settings: Settings) -> None:
    """To be called before any other hook of a request."""
    entrance = Entrance(settings)
    app.extensions["entrance"] = entrance
    app.before_request(entrance.judge)

    @app.after_request
    def name(answer: Response) -> Response:
        answer.headers.add(REQUEST_ID, REQUEST.get())
        return answer
