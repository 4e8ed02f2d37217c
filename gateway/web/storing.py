"""The region as a store request sees it: the site that each study goes to, and what it holds.

Without a site in the path a study goes to the site that holds it already, so that a report lies
beside its images; a new one goes to the region's home site (until logins know the caller's own).
"""

import io
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

from gateway.bootstrap import Gateway
from gateway.clock import Deadline
from gateway.dicom.fingerprint import Fingerprint
from gateway.errors import NoRoom, NoSiteAnswered, NotFound, RecordsUnavailable, SiteError
from gateway.federation.locate import order
from gateway.index.holders import load_holders
from gateway.log import log
from gateway.model.answers import Copy, Holder, Place, SiteSaid
from gateway.model.sites import Site
from gateway.orthanc import dicomweb
from gateway.orthanc.copies import has_content

LONGEST_S = 6 * 3600.0
READ_S = 600.0


class _Spool(io.FileIO):
    """Unbuffered, so that a full disk is told by the write that it happens in, and by no other."""

    def write(self, block: Any) -> int:
        view = memoryview(block)
        try:
            while view:
                view = view[super().write(view) :]
        except OSError as error:
            raise NoRoom(type(error).__name__) from error
        return len(block)


class RegionStorage:
    """What federation/store.py needs, over real sites; one for each request.

    site_id  the site that the path names; None: see above
    """

    def __init__(self, gateway: Gateway, site_id: str | None) -> None:
        self._gateway = gateway
        self._wire = gateway.wire
        self._region = gateway.region
        self._site_id = site_id

    def place(self, study_uid: str) -> Place:
        """raises SiteError if the site that it goes to cannot say what it holds"""
        holders = self._holders(study_uid)
        site_id = self._site_id or (holders[0].site_id if holders else self._region.home_site)
        site = self._site(site_id)
        deadline = Deadline(site.timeouts.store_s)
        patients = dicomweb.find_patients(self._wire, site, study_uid, deadline)
        here: Mapping[str, Sequence[str]] = {}
        if patients is not None:
            here = dicomweb.list_copies(self._wire, site, study_uid, deadline)
        others = [holder.site_id for holder in holders if holder.site_id != site_id]
        return Place(site_id, patients or frozenset(), here, self._copies(study_uid, others))

    def send(self, site_id: str, boundary: str, body: Iterable[bytes]) -> SiteSaid:
        return dicomweb.send_store(self._wire, self._site(site_id), boundary, body, LONGEST_S)

    def held(self, site_id: str, study_uid: str) -> Mapping[str, Sequence[str]]:
        self._gateway.locator.forget(study_uid)
        site = self._site(site_id)
        return dicomweb.list_copies(self._wire, site, study_uid, Deadline(site.timeouts.store_s))

    def has_content(self, copy: Copy, content: Fingerprint) -> bool:
        site = self._site(copy.site_id)
        return has_content(self._wire, site, copy.path, content, Deadline(READ_S))

    def spool(self) -> BinaryIO:
        try:
            descriptor, name = tempfile.mkstemp(dir=self._gateway.settings.state_dir)
            os.unlink(name)
        except OSError as error:
            raise NoRoom(type(error).__name__) from error
        return _Spool(descriptor, "r+b")

    def _site(self, site_id: str) -> Site:
        site = self._region.site(site_id)
        if site is None:
            raise NotFound("site")
        return site

    def _holders(self, study_uid: str) -> list[Holder]:
        """Who is known to hold the study, best first; only sites that the index has never read are
        asked, and one that is silent counts as holding nothing."""
        gateway, sites = self._gateway, {site.site_id: site for site in self._region.sites}
        indexed = gateway.index_states
        holders: list[Holder] = []
        try:
            known = load_holders(gateway.records, study_uid) if indexed else {}
        except RecordsUnavailable as error:
            log.warning("index not read, sites are asked", why=str(error))
            known, indexed = {}, {}
        holders += [Holder(site_id, n, 0.0) for site_id, n in known.items() if site_id in sites]
        unread = [site for site in self._region.sites if site.site_id not in indexed]
        if unread:
            try:
                deadline_s = gateway.settings.search_deadline_s
                holders += gateway.locator.locate(study_uid, unread, deadline_s).holders
            except (NotFound, NoSiteAnswered):
                pass
        return list(order(holders, sites))

    def _copies(self, study_uid: str, site_ids: Iterable[str]) -> Mapping[str, Sequence[Copy]]:
        """What other sites hold of the study, as far as they say."""
        found: dict[str, list[Copy]] = {}
        for site_id in site_ids:
            site = self._site(site_id)
            deadline = Deadline(site.timeouts.search_s)
            try:
                copies = dicomweb.list_copies(self._wire, site, study_uid, deadline)
            except SiteError as error:
                log.warning("a holder is silent, its copies are not compared", why=str(error))
                continue
            for uid, paths in copies.items():
                found.setdefault(uid, []).extend(Copy(site_id, path) for path in paths)
        return found
