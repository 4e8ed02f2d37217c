"""The region as a store request sees it: the site that each study goes to, and what it holds.

Without a site in the path a study goes to the site that holds it already, so that a report lies
beside its images; a new one goes to the region's home site, or to the first of the caller's own
sites where the caller may not store there.
One that sites hold for different patients goes nowhere: only the sender knows whose it is, and
says so by the address of a hospital (trust.md F20, H83).
"""

import io
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from gateway.bootstrap import Gateway
from gateway.clock import Deadline, utc_now
from gateway.dicom.fingerprint import Fingerprint
from gateway.dicom.part10 import Identity
from gateway.dicom.store_response import DUPLICATE, OTHER_PATIENT, InstanceResult
from gateway.errors import (
    NoRoom,
    NoSiteAnswered,
    NotFound,
    PatientsDiffer,
    RecordsRefused,
    RecordsUnavailable,
    SiteError,
)
from gateway.federation.locate import order
from gateway.index.holders import load_holders, load_series_holders
from gateway.log import log
from gateway.model import persons
from gateway.model.alarms import EXECUTABLE_PREAMBLE, REFUSED_CONTENT, REFUSED_PATIENT
from gateway.model.answers import Copy, Holder, Place, SiteSaid
from gateway.model.sites import Site
from gateway.orthanc import holdings
from gateway.orthanc.copies import has_content
from gateway.orthanc.storing import send_store
from gateway.records.alarms import write_alarm
from gateway.records.engine import Records
from gateway.web.scope import Scope

LONGEST_S = 6 * 3600.0
READ_S = 600.0
ALARM_OF = {DUPLICATE: REFUSED_CONTENT, OTHER_PATIENT: REFUSED_PATIENT}
REFUSALS = frozenset(ALARM_OF.values())
LEAST_FREE = 64 * 2**20
"""Left to the database, which stands on the same disk."""
NAMED = 5
"""Instances that an alarm names."""


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
    scope    the sites that the caller may store at; None: all
    shared   study UID -> the sites that hold it for different patients, of each study that went
             nowhere for that
    """

    def __init__(self, gateway: Gateway, site_id: str | None, scope: Scope | None = None) -> None:
        self._gateway = gateway
        self._wire = gateway.wire
        self._region = gateway.region
        self._site_id = site_id
        scope = scope or Scope(gateway.region.sites, "", gateway.region.by_id)
        self._own = scope.by_id
        self._home = scope.home_site(gateway.region)
        self.shared: dict[str, Sequence[str]] = {}
        self._of_series: dict[str, Collection[tuple[str, str]]] = {}

    def place(self, study_uid: str) -> Place:
        """raises SiteError if the site that it goes to cannot say what it holds; PatientsDiffer if
        only a site in the path could tell whose the study is
        """
        try:
            holders: Sequence[str] = [holder.site_id for holder in self._holders(study_uid)]
        except PatientsDiffer as error:
            if self._site_id is None:
                self.shared[study_uid] = tuple(one for one in error.sites if one in self._own)
                raise
            holders = error.sites
        own_holders = [holder for holder in holders if holder in self._own]
        site_id = self._site_id or (own_holders[0] if own_holders else self._home)
        site = self._site(site_id)
        deadline = Deadline(site.timeouts.store_s)
        patients = holdings.find_patients(self._wire, site, study_uid, deadline)
        others = [holder for holder in holders if holder != site_id]
        here: Mapping[str, Sequence[str]] = {}
        if patients is not None:
            here = holdings.list_copies(self._wire, site, study_uid, deadline)
        return Place(
            site_id,
            tuple(patients or ()),
            () if patients else tuple(self._patients(study_uid, others)),
            site.patient_id_issuer,
            here,
            self._copies(study_uid, others),
        )

    def held_otherwise(
        self, site_id: str, instances: Sequence[Identity]
    ) -> Collection[tuple[str, str]]:
        """raises SiteError if the site itself cannot say"""
        asked = {site_id: {instance.sop_instance_uid for instance in instances}}
        known = self._series_holders(instances)
        for instance in instances:
            for other, study_uid in known.get(instance.series_uid, ()):
                if study_uid != instance.study_uid and self._region.site(other):
                    asked.setdefault(other, set()).add(instance.sop_instance_uid)
        held: set[tuple[str, str]] = set()
        for name, uids in asked.items():
            site = self._site(name)
            deadline = Deadline(site.timeouts.search_s)
            try:
                held |= holdings.find_studies_of(self._wire, site, uids, deadline)
            except SiteError as error:
                if name == site_id:
                    raise
                log.warning("a holder is silent, its instances are not known", why=str(error))
        named = {uid: {study for study, other in held if other == uid} for _, uid in held}
        return {
            (i.study_uid, i.sop_instance_uid)
            for i in instances
            if named.get(i.sop_instance_uid, set()) - {i.study_uid}
        }

    def send(self, site_id: str, boundary: str, body: Iterable[Sequence[bytes]]) -> SiteSaid:
        return send_store(self._wire, self._site(site_id), boundary, body, LONGEST_S)

    def held(
        self, site_id: str, study_uid: str, sent: Collection[Identity]
    ) -> Mapping[str, Sequence[str]]:
        self._gateway.locator.forget(study_uid)
        site = self._site(site_id)
        deadline = Deadline(site.timeouts.store_s)
        return holdings.find_stored(self._wire, site, study_uid, sent, deadline)

    def has_content(self, copy: Copy, content: Fingerprint) -> bool:
        site = self._site(copy.site_id)
        return has_content(self._wire, site, copy.path, content, Deadline(READ_S))

    def spool(self) -> BinaryIO:
        folder = self._gateway.settings.state_dir
        try:
            if shutil.disk_usage(folder).free < LEAST_FREE:
                raise NoRoom("less is free than the database needs")
            descriptor, name = tempfile.mkstemp(dir=folder)
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
        asked, and one that is silent counts as holding nothing.

        raises  PatientsDiffer, with all of them
        """
        gateway, sites = self._gateway, {site.site_id: site for site in self._region.sites}
        indexed = gateway.index_states
        holders: list[Holder] = []
        try:
            known = load_holders(gateway.records, study_uid) if indexed else []
        except RecordsUnavailable as error:
            log.warning("index not read, sites are asked", why=str(error))
            known, indexed = [], {}
        holders += [holder for holder in known if holder.site_id in sites]
        unread = [site for site in self._region.sites if site.site_id not in indexed]
        if unread:
            try:
                deadline_s = gateway.settings.search_deadline_s
                holders += gateway.locator.locate(study_uid, unread, deadline_s).holders
            except (NotFound, NoSiteAnswered):
                pass
            except PatientsDiffer as error:
                named = {*error.sites, *(holder.site_id for holder in holders)}
                raise PatientsDiffer(study_uid, sorted(named)) from error
        if persons.find_different(holder.patient for holder in holders):
            raise PatientsDiffer(study_uid, sorted({holder.site_id for holder in holders}))
        return list(order(holders, sites))

    def _series_holders(
        self, instances: Iterable[Identity]
    ) -> Mapping[str, Collection[tuple[str, str]]]:
        """Which studies the index knows to have these series; asked once for each of a request."""
        new = {i.series_uid for i in instances} - self._of_series.keys()
        try:
            found = load_series_holders(self._gateway.records, new) if new else {}
        except RecordsUnavailable:
            found = {}
        self._of_series |= {uid: found.get(uid, ()) for uid in new}
        return self._of_series

    def _patients(self, study_uid: str, site_ids: Sequence[str]) -> Iterator[persons.Identity]:
        """Of whom other sites hold the study: by the index, or as far as they say themselves."""
        try:
            known = load_holders(self._gateway.records, study_uid)
        except RecordsUnavailable:
            known = []
        indexed = {holder.site_id: holder.patient for holder in known}
        for site_id in site_ids:
            if site_id in indexed:
                yield indexed[site_id]
                continue
            site = self._site(site_id)
            deadline = Deadline(site.timeouts.search_s)
            try:
                yield from holdings.find_patients(self._wire, site, study_uid, deadline) or ()
            except SiteError as error:
                log.warning("a holder is silent, its patient is not compared", why=str(error))

    def _copies(self, study_uid: str, site_ids: Iterable[str]) -> Mapping[str, Sequence[Copy]]:
        """What other sites hold of the study, as far as they say."""
        found: dict[str, list[Copy]] = {}
        for site_id in site_ids:
            site = self._site(site_id)
            deadline = Deadline(site.timeouts.search_s)
            try:
                copies = holdings.list_copies(self._wire, site, study_uid, deadline)
            except SiteError as error:
                log.warning("a holder is silent, its copies are not compared", why=str(error))
                continue
            for uid, paths in copies.items():
                found.setdefault(uid, []).extend(Copy(site_id, path) for path in paths)
        return found


def raise_alarms(records: Records, results: Iterable[InstanceResult]) -> None:
    """One alarm for each study of which something was refused for what the region holds (trust.md
    H82, F20), or was stored that begins as a program does (H73). A study that goes nowhere has the
    keeper's alarm. The answer never waits for a database that is away: the log has it.
    """
    told: dict[tuple[str, str], list[InstanceResult]] = defaultdict(list)
    for result in results:
        if result.failure in ALARM_OF and result.site_id:
            told[ALARM_OF[result.failure], result.study_uid].append(result)
        elif result.failure is None and result.program:
            told[EXECUTABLE_PREAMBLE, result.study_uid].append(result)
    if not told:
        return
    try:
        with records.write() as connection:
            for (kind, study_uid), of_study in sorted(told.items()):
                facts = {
                    "sites": sorted({result.site_id for result in of_study}),
                    "refused" if kind in REFUSALS else "stored": len(of_study),
                    "instances": sorted({r.sop_instance_uid for r in of_study})[:NAMED],
                }
                write_alarm(connection, kind, study_uid, facts, utc_now())
    except (RecordsUnavailable, RecordsRefused) as error:
        log.error("alarms of a store are not kept", why=str(error), studies=len(told))
