"""Images of far sites from the disk cache: what is asked of a site, answered without its line.

Only after the caller's right and the holder are decided: what stands here is in the place of one
request to one site. Kept are single images and frames as sites give them, of the version of their
series that the index knows, or else of their study; never an answer that broke off or whose last
boundary is missing.
"""

import re
import socket
from hashlib import blake2b

from gateway.bootstrap import Gateway
from gateway.dicom.media_types import MULTIPART, parse_content_type
from gateway.errors import BadRequest, SiteError, SiteStreamCut
from gateway.image_cache import Draft, ImageCache, Kept
from gateway.model.sites import Site
from gateway.orthanc.answer import BLOCK, SiteAnswer
from gateway.web.versions import Versions

IMAGE = re.compile(
    r"/studies/(?P<study>[^/]+)/series/(?P<series>[^/]+)/instances/[^/]+(?:/frames/[0-9,]+)?",
    re.ASCII,
)
TAIL = 160  # the last boundary and what may follow it


class KeptAnswer(SiteAnswer):
    """A body from the disk in the place of the site's answer with it."""

    def __init__(self, site: Site, kept: Kept) -> None:
        self.site = site
        self.status = 200
        self.headers = {"content-type": kept.content_type}
        self.content_type = kept.content_type
        self.length = self.length_of_body = kept.length
        self.came = 0
        self.chunked = False
        self._release = self._judge = self._copy = None
        self._kept = kept

    def become_stream(self) -> None:
        """Nothing here waits for a site."""

    def read(self, size: int = BLOCK) -> bytes:
        """Up to `size` bytes, b"" at the end; raises SiteStreamCut if the disk fails."""
        if not self.length:
            return b""
        try:
            block = self._kept.read(min(size, self.length))
        except (OSError, ValueError) as error:
            raise self.refuse(SiteStreamCut(self.site.site_id, "its kept copy")) from error
        if not block:
            raise self.refuse(SiteStreamCut(self.site.site_id, "its kept copy is short"))
        self.length -= len(block)
        if not self.length:
            self._kept.close()
        return block

    def pour(self, sink: socket.socket, count: int, first: bytes = b"") -> int:
        return 0

    def refuse(self, error: SiteError) -> SiteError:
        self.close()
        return error

    def close(self) -> None:
        self.length = 0
        self._kept.close()


class WholeParts:
    """Copies a multipart answer into the cache, if it has its last boundary."""

    def __init__(self, draft: Draft, boundary: str) -> None:
        self._draft = draft
        self._closing = f"--{boundary}--".encode("latin-1")
        self._tail = b""

    def add(self, block: bytes) -> None:
        self._draft.add(block)
        self._tail = (self._tail + block)[-TAIL:]

    def commit(self) -> None:
        if self._closing in self._tail:
            self._draft.commit()
        else:
            self._draft.discard()

    def discard(self) -> None:
        self._draft.discard()


class KeptImages:
    """Finds and keeps answers of sites that are marked `cache` in region.toml."""

    def __init__(self, gateway: Gateway, versions: Versions) -> None:
        self._gateway = gateway
        self._versions = versions

    def cache_for(self, site: Site) -> ImageCache | None:
        cache = self._gateway.image_cache
        return cache if cache is not None and site.cache and cache.is_on else None

    def key(self, site: Site, path: str, accept: str) -> str | None:
        """What this request's answer is kept by; None if it is not."""
        asked = IMAGE.fullmatch(path) if self.cache_for(site) is not None else None
        if asked is None:
            return None
        study_uid, site_id = asked["study"], site.site_id
        mark = self._versions.series_mark(study_uid, asked["series"], site_id)
        mark = mark or self._versions.mark(study_uid, site_id)
        if mark is None:
            return None
        # Sites write our address into the heads of parts.
        words = (site.site_id, site.url, mark, path, accept, self._gateway.settings.base_url)
        return blake2b("\n".join(words).encode("utf-8", "replace"), digest_size=16).hexdigest()

    def find(self, site: Site, key: str) -> KeptAnswer | None:
        cache = self.cache_for(site)
        kept = cache.find(key) if cache is not None else None
        return KeptAnswer(site, kept) if kept is not None else None

    def keep(self, key: str, answer: SiteAnswer) -> None:
        """Let what is read of this answer go into the cache, once all of it has come."""
        cache = self.cache_for(answer.site)
        if cache is None or answer.status != 200 or answer.length is None:
            return
        try:
            kind, parameters = parse_content_type(answer.content_type)
        except BadRequest:
            return
        boundary = parameters.get("boundary", "")
        if kind != MULTIPART or not boundary:
            return
        draft = cache.begin(key, answer.content_type, answer.length)
        if draft is not None:
            answer.copy_to(WholeParts(draft, boundary))

    def keep_body(self, site: Site, key: str, content_type: str, body: bytes) -> None:
        """Keep what was made here of such a site's images."""
        cache = self.cache_for(site)
        draft = cache.begin(key, content_type, len(body)) if cache is not None else None
        if draft is not None:
            draft.add(body)
            draft.commit()
