"""Ends what is still on its way to somebody whose right was withdrawn (trust.md H58).

New requests of theirs are refused within five seconds (web/identity.py). An answer that runs is
looked at every few seconds, whether anybody takes its bytes or not, and then its connection is
reset, as if the site had failed: nobody may take the beginning for the whole.
"""

import errno
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gevent
from flask import Flask, Response, g, request

from gateway.errors import GatewayError, NotSignedIn
from gateway.log import log
from gateway.model.access import Action, Actor, Thing, allow
from gateway.web.identity import Identity

LOOK_EVERY_S = 5.0


@dataclass(frozen=True)
class Download:
    """An answer that is being sent.

    ask_again  who sends the credentials that it was asked with; raises NotSignedIn
    """

    credential: str
    ask_again: Callable[[], Actor]
    action: Action
    thing: Thing
    cut: Callable[[], None]


class Running:
    """The answers that this process is sending."""

    def __init__(self) -> None:
        self._downloads: dict[object, Download] = {}

    def add(self, download: Download) -> Callable[[], None]:
        """returns  what to call at the end of the answer"""
        mark = object()
        self._downloads[mark] = download

        def end() -> None:
            self._downloads.pop(mark, None)

        return end

    def look(self) -> int:
        """End what may not go on; returns how many. Each credential is asked about once."""
        actors: dict[str, Actor | None] = {}
        ended = 0
        for download in list(self._downloads.values()):
            if download.credential not in actors:
                actors[download.credential] = _actor_of(download)
            actor = actors[download.credential]
            if actor is None or allow(actor, download.action, download.thing).allowed:
                continue
            log.warning("download ended, its right is withdrawn", account=actor.subject)
            download.cut()
            ended += 1
        return ended


def _actor_of(download: Download) -> Actor | None:
    """None if that cannot be found out now: an outage ends no download."""
    try:
        return download.ask_again()
    except NotSignedIn:
        return Actor("")
    except GatewayError as error:
        log.warning("rights not looked at", why=str(error))
        return None


def register(app: Flask, identity: Identity) -> Running:
    """Watch every answer that streams."""
    running = Running()

    @app.after_request
    def watch(answer: Response) -> Response:
        begun = g.get("begun")
        if begun is None or not answer.is_streamed or request.method == "HEAD":
            return answer
        credential, ask_again = identity.ask_again()
        action, thing = begun
        # Where it lies counts, too: another duty of the asker's does not reach there.
        thing = replace(thing, sites=g.get("holders", thing.sites))
        end = running.add(Download(credential, ask_again, action, thing, _cut_of(request.environ)))
        answer.response = Watched(answer.response, end)
        return answer

    return running


class Watched:
    """A body whose end is heard of, whatever became of it: the server closes it, also where it
    passes Werkzeug by (direct_passthrough), which then calls nobody.
    """

    def __init__(self, body: Iterable[Any], end: Callable[[], None]) -> None:
        self._body, self._blocks, self._end = body, iter(body), end
        self._closed = False

    def __iter__(self) -> Iterator[Any]:
        return self._blocks

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            self._end()


def _cut_of(environ: dict[str, object]) -> Callable[[], None]:
    """What breaks the current answer off, as web/streaming.py does when a site fails."""
    if "gunicorn.socket" not in environ:
        return lambda: None  # a server of tests
    sender = gevent.getcurrent()
    broken = ConnectionResetError(errno.ECONNRESET, "the right is withdrawn")
    return lambda: gevent.kill(sender, broken)


def look_forever(running: Running) -> Callable[[], None]:
    """From a thread of its own (under gevent a greenlet).

    returns  what stops it
    """
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(LOOK_EVERY_S):
            running.look()

    threading.Thread(target=run, name="withdrawal", daemon=True).start()
    return stop.set
