"""What binds the gateway and one site: certificates, addresses, and the list of what may be asked.

Every way to a site passes here: the wire, pyorthanc's transport and the probe.
"""

import os
import re
import socket
import ssl
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from gateway.certificates import der_ends_at
from gateway.clock import utc_now
from gateway.errors import SiteTimeout, SiteUnreachable, SiteUntrusted
from gateway.model.sites import Site

HAS_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
DICOMWEB = re.compile(r"(?:GET|POST) /(?:studies|series|instances)(?:[/?].*)?")
_UID = r"[0-9]+(?:\.[0-9]+)*"
OBJECT = re.compile(
    rf"/studies/{_UID}/series/{_UID}/instances/{_UID}(?:/frames/[0-9,]+)?", re.ASCII
)
"""What is asked for by the thousand: judged first, and at once."""
_ID = r"[A-Za-z0-9._-]+"
ORTHANC = re.compile(
    r"GET /(?:changes|statistics|system|studies|series|patients|instances|plugins|queries|jobs"
    rf"|storage-commitment)(?:[/?].*)?|POST /(?:instances|tools/find|jobs/{_ID}/cancel"
    rf"|modalities/{_ID}/(?:echo|store|storage-commitment|query))"
)
"""Of Orthanc's own addresses; nothing here changes its configuration, runs a script or deletes."""


def context_of(site: Site) -> ssl.SSLContext:
    """What a site with https is judged by, and what it knows us by.

    Files that were renewed are read again; each site has its own, even where the files are equal,
    so that no session of one is ever offered to another.
    raises  SiteUntrusted if a file cannot be used
    """
    files = (site.ca_file, site.client_certificate_file, site.client_key_file)
    try:
        stamps = tuple(os.stat(file).st_mtime_ns if file else 0 for file in files)
        return _context(site.site_id, files, stamps)
    except OSError as error:  # ssl.SSLError too
        raise SiteUntrusted(
            site.site_id, "its ca_file or client certificate cannot be used"
        ) from error


@lru_cache(maxsize=1024)
def _context(_site_id: str, files: tuple[str, ...], _stamps: tuple[int, ...]) -> ssl.SSLContext:
    authority, certificate, key = files
    context = ssl.create_default_context(cafile=authority or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def certificate_ends_at(site: Site) -> datetime | None:
    """When the certificate that a site shows now ends; None without TLS. Raises SiteError.

    Nothing is asked of it: the handshake is all. One that has ended already ended "now".
    """
    if not site.url.startswith("https:"):
        return None
    parts = urlsplit(site.url)
    limit_s = site.timeouts.probe_s
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 443), limit_s) as sock:
            check_address(site, sock)
            with context_of(site).wrap_socket(sock, server_hostname=parts.hostname) as tls:
                return der_ends_at(tls.getpeercert(binary_form=True) or b"")
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == HAS_EXPIRED:
            return utc_now()
        raise SiteUntrusted(site.site_id, "its certificate is not accepted") from error
    except TimeoutError as error:
        raise SiteTimeout(site.site_id, limit_s) from error
    except (OSError, ValueError) as error:
        raise SiteUnreachable(site.site_id, type(error).__name__) from error


def check_address(site: Site, sock: Any) -> None:
    """Close a connection that leads where the site's name may not lead; raises SiteUntrusted.

    Asked of the connection itself, so that no second answer of a resolver can come between.
    """
    if sock.family == socket.AF_UNIX or site.may_be_at(sock.getpeername()[0]):
        return
    sock.close()
    raise SiteUntrusted(site.site_id, "its name leads to an address that it may not have")


def check_question(site: Site, method: str, target: str) -> None:
    """Raises ValueError, for it is a fault of ours, if a site may not be asked that.

    target  path and query below the site's URL
    """
    root = site.dicomweb_root
    if method == "GET" and target.startswith(root) and OBJECT.fullmatch(target, len(root)):
        return
    path = target.partition("?")[0]
    if ".." in path or "//" in path or "%2e" in path.lower() or "\\" in path:
        raise ValueError("a path that could lead elsewhere")
    if target.startswith(root) and DICOMWEB.fullmatch(f"{method} {target[len(root) :]}"):
        return
    if site.kind == "webhook" and method == "POST" and target in ("", "/"):
        return
    if site.kind == "orthanc" and ORTHANC.fullmatch(f"{method} {target}"):
        return
    raise ValueError("not on the list of what a site may be asked")
