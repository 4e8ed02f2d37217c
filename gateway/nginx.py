"""Writes the configuration of the front nginx (`gateway nginx-config`) from nginx.conf beside it.

The other half, what the gateway says to that nginx, is web/front_proxy.py.
"""

import base64
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.errors import SettingsError
from gateway.model.sites import Region, Site
from gateway.orthanc.wire import SLOTS_FOR_BODIES
from gateway.settings import Settings

DECISION_PATH = "/front-proxy/decision"
OBJECT = (
    r"/studies/(?<study>[0-9.]+)/series/(?<series>[0-9.]+)/instances/(?<instance>[0-9.]+)"
    r"(?:(?<kind>/frames)/[1-9][0-9]*)?"
)
"""What nginx may fetch, in the words of its own regular expressions."""
# What a site may answer instead of an image; also 3xx, which Orthanc never says.
ERRORS = """301 302 303 307 308 400 401 403 404 405 406 408 409 410 411 413 414 415 416 429 431
    500 501 502 503 504 505 507"""
UNQUOTED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:[]%+@=,")

Resolve = Callable[[str, int], str]
"""(host, port) -> "address:port"; raises OSError if the name is not known now."""


@dataclass(frozen=True)
class Upstream:
    """A site in the words of nginx.

    name       for the certificate
    ca_file    certificates that it is judged by
    client_…   files by which it knows us; empty: none
    most       connections that nginx may open there; as many as one web process
    """

    site_id: str
    scheme: str
    address: str
    host: str
    name: str
    root: str
    authorization: str
    ca_file: str
    client_certificate_file: str
    client_key_file: str
    connect_ms: int
    idle_ms: int
    most: int = SLOTS_FOR_BODIES


def resolve(host: str, port: int) -> str:
    """The first address of a host, as nginx writes it; raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return f"[{address[0]}]:{port}" if family == socket.AF_INET6 else f"{address[0]}:{port}"


def configuration(
    settings: Settings,
    region: Region,
    listen: str,
    folder: str,
    certificate: str = "",
    key: str = "",
    *,
    bells: str = "",
    resolve: Resolve = resolve,
) -> str:
    """Text of a file for nginx's http block.

    Without PROXY_DECISION_S it names no site: then every byte passes the gateway. A name is
    resolved here, once: nginx does not start if it cannot resolve one, and a site that has moved
    costs no more than the way through the gateway, until this is written anew.
    listen       what nginx's `listen` takes: "80", "[::]:443"
    folder       for the kept decisions
    certificate  file for TLS, with its key: used where PUBLIC_URL is https; empty: no TLS here
    bells        a second `listen`, without TLS, for sites' signed events alone; empty: none
    raises       SettingsError for a value that nginx could misread
    """
    sites = list(_upstreams(region, resolve)) if settings.proxy_decision_s else []
    public = urlsplit(settings.base_url)
    tls = bool(certificate) and public.scheme == "https"
    if "ssl" in listen.split() and not tls:
        raise SettingsError(
            ["nginx: TLS needs a certificate and a GATEWAY_PUBLIC_URL that begins with https://"]
        )
    words = [word for word in listen.split() if word != "ssl"]
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    environment = Environment(
        loader=PackageLoader("gateway", "."),
        autoescape=False,  # noqa: S701 - no HTML; every value is checked by _word
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("nginx.conf").render(
        sites=sites,
        gateway=_word(f"{host}:{settings.port}"),
        listen=" ".join(map(_word, [*words, "ssl"] if tls else words)),
        bells=" ".join(map(_word, bells.split())),
        folder=_word(folder),
        certificate=_word(certificate) if tls else "",
        key=_word(key),
        object=OBJECT,
        decision=DECISION_PATH,
        host=_word(public.netloc),
        forwarded=_word(f"host={public.netloc}") + ";" + _word(f"proto={public.scheme}"),
        errors=" ".join(ERRORS.split()),
    )


def _upstreams(region: Region, resolve: Resolve) -> Iterator[Upstream]:
    for site in region.sites:
        if site.kind != "orthanc":
            continue
        parts = urlsplit(site.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            address = resolve(parts.hostname or "", port)
        except OSError:
            continue
        if not site.may_be_at(address.rpartition(":")[0].strip("[]")):
            continue  # the gateway refuses it too, in words
        yield Upstream(
            site.site_id,
            _word(parts.scheme),
            _word(address),
            _word(parts.netloc),
            _word(parts.hostname or ""),
            _word(parts.path.rstrip("/") + site.dicomweb_root),
            _authorization(site),
            _word(site.ca_file or ssl.get_default_verify_paths().cafile or ""),
            _word(site.client_certificate_file),
            _word(site.client_key_file),
            round(1000 * site.timeouts.connect_s),
            round(1000 * site.timeouts.idle_s),
        )


def _authorization(site: Site) -> str:
    if not site.username:
        return ""
    pair = f"{site.username}:{site.password}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")


def _word(text: str) -> str:
    """A value that nginx reads as one word, whatever stands around it; raises SettingsError."""
    if not set(text) <= UNQUOTED:
        raise SettingsError(["nginx: a value may hold only letters, digits and -._~/:[]%+@=,"])
    return text
