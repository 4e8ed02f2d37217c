"""Reads what a site holds of a study, with sizes and MD5 as Orthanc keeps them."""

from gateway.clock import Deadline
from gateway.model.manifests import Manifest
from gateway.model.sites import Site
from gateway.orthanc.wire import Wire


def read_manifest(wire: Wire, site: Site, study_uid: str, deadline: Deadline) -> Manifest:
    """The study as the site holds it now.

    raises  NotFound if the site answered that it has none of it; SiteError
    """
    raise NotImplementedError
