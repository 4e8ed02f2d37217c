"""The thin upstream client: one HTTP/1.1 exchange with a site, streamed both ways.

requests stays for control traffic (probe.py); here a call must end by a total deadline (requests'
timeouts are for each read), bytes must pass without being decoded, and a search over many sites
must not cost a millisecond for each (performance.md 2, 4). What goes out is written by request.py,
what comes back is read through answer.py; sockets and their waiting are in connection.py.
"""

import http.client
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from gateway.clock import Deadline, monotonic_s
from gateway.errors import (
    SiteBusy,
    SiteError,
    SiteRefused,
    SiteSpeaksGarbage,
    SiteStreamCut,
    SiteTimeout,
    SiteUnreachable,
    SiteUntrusted,
)
from gateway.model.nearness import Nearness
from gateway.model.sites import Site
from gateway.model.standing import Standing
from gateway.orthanc.addresses import Addresses
from gateway.orthanc.answer import SiteAnswer
from gateway.orthanc.connection import Connection, connect
from gateway.orthanc.heads import HeadParsed
from gateway.orthanc.request import Chunk, request_head, send_chunked
from gateway.orthanc.slots import Slots
from gateway.orthanc.trust import context_of

IDLE_LIMIT_S = 0.8  # Orthanc closes idle connections after one second (performance.md 5.2)
SLOTS_PER_SITE = 24  # two web processes stay below Orthanc's 50 threads (performance.md 5.9)
SLOTS_FOR_BODIES = 16
ABOUT_THE_REQUEST = frozenset({400, 406, 413, 414, 415, 416, 431})
"""Refusals that say more about what we asked than about the site."""


class _Post:
    """What we keep for one site: breaker, nearness, our slots there, idle connections."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.standing = Standing()
        self.nearness = Nearness()
        self.slots = Slots(SLOTS_PER_SITE)
        self.body_slots = Slots(SLOTS_FOR_BODIES)
        self.idle: deque[Connection] = deque()

    def keep(self, connection: Connection) -> None:
        """Let the next exchange use it; those that have waited for too long are closed."""
        self.close_idle(IDLE_LIMIT_S)
        connection.idle_since = monotonic_s()
        self.idle.append(connection)

    def close_idle(self, longest_s: float) -> None:
        """Close what has been idle for that long; the oldest stand first."""
        now = monotonic_s()
        while self.idle and now - self.idle[0].idle_since >= longest_s:
            self.idle.popleft().close()


class Wire:
    """Opens exchanges with sites: pool, bulkhead and breaker for each site of this process."""

    def __init__(self) -> None:
        self._posts: dict[str, _Post] = {}
        self._addresses = Addresses()

    def standing(self, site: Site) -> Standing:
        """How the site stands with this process; nothing is asked."""
        return self._post(site).standing

    def slice_s(self, site: Site) -> float | None:
        """Seconds that an image from the site is likely to take; None if nothing is known."""
        return self._post(site).nearness.slice_s(monotonic_s())

    def is_idle(self, site: Site) -> bool:
        """Whether this process is asking the site for nothing now."""
        return self._post(site).slots.all_free

    def fallen(self) -> list[str]:
        """Ids of the sites of whom the last that this process knows is a failure."""
        posts = list(self._posts.items())
        return [
            site_id
            for site_id, post in posts
            if post.standing.last_failure_at is not None and not post.standing.answers
        ]

    def unresolved(self) -> frozenset[str]:
        """Ids of the sites whose name could not be looked up when it was last tried."""
        posts = list(self._posts.items())
        return frozenset(
            site_id
            for site_id, post in posts
            if self._addresses.is_failing(urlsplit(post.site.url).hostname or "")
        )

    def open(
        self,
        site: Site,
        method: str,
        target: str,
        *,
        deadline: Deadline,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | Iterable[Chunk] | None = None,
        answer_s: Callable[[], float] | None = None,
        carries_pixels: bool = False,
    ) -> SiteAnswer:
        """Send one request and return as soon as the head of the answer is there.

        target    path and query below the site's URL, already encoded: ASCII without blanks
        deadline  until the head of the answer has come; sending a body is part of it
        body      bytes go with a length, an iterable goes chunked (Orthanc holds a body with a
                  length whole in memory)
        answer_s  tells, once a chunked body is sent, the seconds for the head; None: what the
                  deadline leaves
        raises    SiteBusy, SiteUnreachable, SiteUntrusted, SiteTimeout, SiteSpeaksGarbage
        """
        post = self._post(site)
        if not post.standing.may_ask(monotonic_s()):
            raise SiteUnreachable(site.site_id, f"not asked after {post.standing.last_failure}")
        slots = [post.slots] + ([post.body_slots] if carries_pixels else [])
        _take(slots, site.site_id, min(deadline.remaining_s(), site.timeouts.first_byte_s))
        start = monotonic_s()
        timed = carries_pixels and method == "GET"
        if timed:
            post.nearness.asked(start)
        try:
            connection, response = self._exchange(
                site, post, method, target, headers, body, deadline, answer_s
            )
        except SiteError as error:
            _give_back(slots)
            if not isinstance(error, SiteBusy):  # that is our trouble, not the site's
                if timed:  # a refusal is quick, but brings nothing
                    post.nearness.began(deadline.total_s)
                at_once = isinstance(error, SiteUntrusted)
                post.standing.failed(monotonic_s(), error.code, at_once=at_once)
            raise
        except BaseException:
            _give_back(slots)
            raise

        seconds = monotonic_s() - start
        # Orthanc reads every file to list metadata: that says nothing of how near it is.
        timed = timed and response.status == 200 and not _is_json(response)
        if timed:
            post.nearness.began(seconds)
        waited_s = connection.reader.waited_s

        def release(reusable: Connection | None) -> None:
            if timed:
                took_s = monotonic_s() - start - seconds
                post.nearness.moved(answer.came, connection.reader.waited_s - waited_s, took_s)
            if reusable is None or self._posts.get(site.site_id) is not post:
                connection.close()
            else:
                post.keep(reusable)
            _give_back(slots)

        def judge(error: SiteError | None) -> None:
            if error is None or (
                isinstance(error, SiteRefused) and error.status in ABOUT_THE_REQUEST
            ):
                post.standing.answered(monotonic_s(), seconds)
            else:
                at_once = isinstance(error, SiteUntrusted)
                post.standing.failed(monotonic_s(), error.code, at_once=at_once)

        answer = SiteAnswer(site, response, connection, release, judge)
        if answer.status in (401, 403):
            raise answer.refuse(SiteUntrusted(site.site_id, f"HTTP {answer.status}"))
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise answer.refuse(SiteSpeaksGarbage(site.site_id, "a coding that was not asked for"))
        return answer

    def close(self) -> None:
        """Close what is idle; exchanges that run go on to their ends."""
        for post in list(self._posts.values()):
            post.close_idle(0.0)

    def _post(self, site: Site) -> _Post:
        """A site whose entry in region.toml has changed begins anew: it may have been mended."""
        post = self._posts.get(site.site_id)
        if post is None or (post.site is not site and post.site != site):
            former, post = post, _Post(site)
            self._posts[site.site_id] = post
            if former is not None:
                former.close_idle(0.0)
        return post

    def _exchange(
        self,
        site: Site,
        post: _Post,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | Iterable[Chunk] | None,
        deadline: Deadline,
        answer_s: Callable[[], float] | None,
    ) -> tuple[Connection, HeadParsed]:
        head = request_head(site, method, target, headers, body)
        pooled = self._pooled(post, site) if body is None or isinstance(body, bytes) else None
        if pooled is not None:
            try:
                return pooled, self._send(site, pooled, method, head, body, deadline, None)
            except (SiteUnreachable, SiteStreamCut):
                pooled.close()  # it was closed while idle; a fresh one tells the truth
            except BaseException:
                pooled.close()
                raise
        connection = connect(site, deadline, self._addresses, context_of)
        try:
            return connection, self._send(site, connection, method, head, body, deadline, answer_s)
        except BaseException:
            connection.close()
            raise

    def _pooled(self, post: _Post, site: Site) -> Connection | None:
        while post.idle:
            connection = post.idle.pop()
            young = monotonic_s() - connection.idle_since < IDLE_LIMIT_S
            if young and connection.url == site.url and connection.is_quiet():
                return connection
            connection.close()
        return None

    def _send(
        self,
        site: Site,
        connection: Connection,
        method: str,
        head: bytes,
        body: bytes | Iterable[Chunk] | None,
        deadline: Deadline,
        answer_s: Callable[[], float] | None,
    ) -> HeadParsed:
        connection.expect(deadline, deadline.total_s)
        response = HeadParsed(connection, method=method)  # type: ignore[arg-type]
        try:
            connection.sock.settimeout(max(deadline.remaining_s(), 0.001))
            whole = True
            if body is None or isinstance(body, bytes):
                connection.send(head + (body or b""))
            else:
                whole = send_chunked(connection.sock, head, body, deadline, site.timeouts.idle_s)
                if answer_s is not None:
                    connection.reader.deadline = Deadline(answer_s())
            response.begin()
            response.will_close |= not whole
        except TimeoutError as error:
            raise SiteTimeout(site.site_id, deadline.total_s) from error
        except http.client.RemoteDisconnected as error:
            raise SiteUnreachable(site.site_id, "closed without an answer") from error
        except (http.client.HTTPException, ValueError) as error:
            raise SiteSpeaksGarbage(site.site_id, type(error).__name__) from error
        except OSError as error:
            raise SiteUnreachable(site.site_id, type(error).__name__) from error
        return response


def _is_json(response: HeadParsed) -> bool:
    return "json" in response.fields.get("content-type", "")


def _take(slots: Sequence[Slots], site_id: str, wait_s: float) -> None:
    deadline = Deadline(wait_s)
    for n, slot in enumerate(slots):
        if not slot.take(deadline):
            _give_back(slots[:n])
            raise SiteBusy(site_id, "all our slots there are taken")


def _give_back(slots: Sequence[Slots]) -> None:
    for slot in slots:
        slot.give_back()
