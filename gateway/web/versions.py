"""Entity tags (RFC 9110 8.8.3) from the study index: an answer that cannot have changed is 304.

A tag stands for the bytes of one answer: the study's version at the site that gives them, the
resource, and the form that was chosen. Sites whose feed is not fresh have no version.
"""

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from threading import Lock

from flask import Response, request

from gateway.bootstrap import Gateway
from gateway.clock import monotonic_s, utc_now
from gateway.errors import RecordsUnavailable
from gateway.model.answers import Location
from gateway.records.versions import load_marks, load_series_marks

KEEP_S = 2.0  # a viewer asks for hundreds of frames of one study
KEEP_MOST = 2000
REVALIDATE = "private, no-cache"


class Versions:
    """Knows the version of each study at each site; one for each blueprint, safe for threads."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._kept: OrderedDict[tuple[str, str], tuple[float, Mapping[str, str]]] = OrderedDict()
        self._lock = Lock()

    def tag(self, study_uid: str, site_id: str, form: str, path: str | None = None) -> str | None:
        """The entity tag of a request's answer from that site; None where nothing is known.

        form  what the answer is in, the same for the same bytes
        path  of that request, with its query; None: of the current one
        """
        mark = self.mark(study_uid, site_id)
        if mark is None:
            return None
        path = request.full_path if path is None else path
        words = (self._gateway.settings.base_url, path, site_id, mark, form)
        return blake2b("\n".join(words).encode("utf-8", "replace"), digest_size=16).hexdigest()

    def mark(self, study_uid: str, site_id: str) -> str | None:
        """Which version of the study the site holds; None where nothing is known."""
        return self._marks(study_uid).get(site_id)

    def series_mark(self, study_uid: str, series_uid: str, site_id: str) -> str | None:
        """The same of a series; None also where only that of its study is known."""
        return self._marks(study_uid, series_uid).get(site_id)

    def not_modified(self, location: Location, form: str, *, weak: bool = False) -> Response | None:
        """304 if the caller has what one of the holders would give, under the tag of that."""
        if "If-None-Match" not in request.headers:
            return None
        for holder in location.holders:
            tag = self.tag(location.study_uid, holder.site_id, form)
            if tag is not None and request.if_none_match.contains_weak(tag):
                return stamp(Response(status=304), tag, weak=weak)
        return None

    def _marks(self, study_uid: str, series_uid: str = "") -> Mapping[str, str]:
        now = monotonic_s()
        key = (study_uid, series_uid)
        found_at, marks = self._kept.get(key, (-KEEP_S, {}))
        if now - found_at >= KEEP_S:
            try:
                records = self._gateway.records
                marks = (
                    load_series_marks(records, study_uid, series_uid)
                    if series_uid
                    else load_marks(records, study_uid)
                )
            except RecordsUnavailable:
                marks = {}
            with self._lock:
                self._kept[key] = (now, marks)
                self._kept.move_to_end(key)
                while len(self._kept) > KEEP_MOST:
                    self._kept.popitem(last=False)
        return {site_id: mark for site_id, mark in marks.items() if self._is_fresh(site_id)}

    def _is_fresh(self, site_id: str) -> bool:
        state = self._gateway.index_states.get(site_id)
        if state is None or state.phase != "following" or state.read_at is None:
            return False
        age_s = (utc_now() - state.read_at).total_seconds()
        return age_s <= self._gateway.settings.max_index_age_s


def stamp(answer: Response, tag: str | None, *, weak: bool = False) -> Response:
    """Write the tag; such an answer may be kept by the caller, who asks again each time."""
    if tag is not None:
        answer.set_etag(tag, weak)
        answer.headers["Cache-Control"] = REVALIDATE
        answer.vary.update(("Accept", "Authorization", "Cookie"))
    return answer
