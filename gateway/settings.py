"""Settings of one process: environment variables GATEWAY_*, read and checked once at start.

The table in README lists every one of them; a test keeps table and dataclass equal. Sites do not
stand here but in region.toml (model/sites.py).
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.errors import SettingsError

PREFIX = "GATEWAY_"
MOST_DECISION_S = 60  # a right that is withdrawn may last so long
MOST_SERIES_AHEAD = 4
LEAST_STEP_UP_S = 60  # else a form that was just proven is asked about again
ADDRESS = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII)
HOST_AND_PORT = re.compile(
    r"(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>[0-9]{1,5})", re.ASCII
)
ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?", re.ASCII)
LEAST_CACHE_BYTES = 64 * 2**20
MOST_DECISION_OF_LOGINS_S = 3  # and 2 s in the web process (web/identity.py)
BEYOND_LOOPBACK = "GATEWAY_BIND={bind}: others can reach that address, so "


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one process needs to know. Names here are the variables' names in lower case."""

    region: Path = _setting(Path("region.toml"), "file that lists the sites (`--region`)")
    bind: str = _setting(
        "127.0.0.1", "address to listen on; beyond loopback only with logins, and TLS or a proxy"
    )
    port: int = _setting(8080, "port to listen on")
    public_url: str = _setting("", "address that viewers use; empty: `http://BIND:PORT`")
    tls_certificate_file: str = _setting(
        "", "own certificate and chain, PEM; empty: no TLS here, but at a proxy"
    )
    tls_key_file: str = _setting("", "key of that certificate, PEM, for this user alone")
    trusted_proxies: str = _setting(
        "",
        "addresses or networks of the proxy in front, comma-separated: who it names as caller is "
        "believed; empty: a proxy on this host",
    )
    trusted_hosts: str = _setting(
        "", "names that callers may use beside that of PUBLIC_URL, comma-separated"
    )
    state_dir: Path = _setting(Path(".gateway"), "folder for the SQLite database")
    database_url: str = _setting("", "SQLAlchemy URL; empty: SQLite in STATE_DIR")
    redis_url: str = _setting("redis://127.0.0.1:6379/0", "Redis of the work queues")
    viewer_dir: Path = _setting(Path(".viewer"), "folder with the built OHIF viewer")
    access: str = _setting(
        "open", "`open`: whoever reaches it is the operator; `login`: people and programs sign in"
    )
    doctors_read: str = _setting(
        "own", "whose images doctors read for a patient's care: of their `own` hospital, `region`"
    )
    step_up_s: int = _setting(
        900,
        "seconds after which a person proves anew who they are before giving access, activating "
        "rules and the like; from 60",
    )
    rules_approval: str = _setting(
        "optional", "`required`: every activation of rules waits for a second person"
    )
    key_file: str = _setting("", "the gateway's key; empty: `gateway.key` in STATE_DIR")
    oidc_issuer: str = _setting(
        "", "OpenID Connect issuer that people sign in at; empty: none but the gateway itself"
    )
    oidc_client_id: str = _setting("", "our name there")
    oidc_client_secret_file: str = _setting("", "file with our secret there")
    oidc_audience: str = _setting(
        "", "audience of its access tokens that are taken at DICOMweb; empty: none are"
    )
    oidc_ca_file: str = _setting("", "certificate authority of its own, PEM")
    web_workers: int = _setting(2, "web processes; one per core")
    metrics_port: int = _setting(
        0, "port of this machine's loopback for `/metrics` (Prometheus) alone; 0: none"
    )
    proxy_decision_s: int = _setting(
        0, "seconds for which the front nginx may keep a decision and fetch images itself; 0: never"
    )
    cache_dir: str = _setting(
        "", "folder on this machine's disk for images of sites marked `cache`; empty: none"
    )
    cache_bytes: int = _setting(20 * 2**30, "most that is kept there; at least 64 MiB")
    prefetch_series: int = _setting(
        0, "series of a study that are read ahead of its viewer, at most 4; 0: none"
    )
    search_deadline_s: float = _setting(3.0, "seconds for one search over all sites")
    max_index_age_s: float = _setting(
        15.0, "a site whose feed was read longer ago is asked live; seconds"
    )
    probe_every_s: float = _setting(180.0, "seconds between two probes of a site")
    follow_every_s: float = _setting(2.0, "seconds between two looks into a site's change feed")
    check_every_s: float = _setting(300.0, "seconds between two comparisons of a site's counts")
    fill_rate: float = _setting(200.0, "most studies read of one site in a second when filling")
    max_results: int = _setting(1000, "most rows in one answer; also the default of `limit`")
    max_store_bytes: int = _setting(16 * 2**30, "largest store request")
    cors_origins: str = _setting("", "origins that may call from a browser, comma-separated")
    mail_from: str = _setting("", "sender of alarms and notices; empty: no mail is sent")
    smtp_host: str = _setting("", "mail server for them")
    smtp_port: int = _setting(587, "its port")
    smtp_security: str = _setting("starttls", "`starttls`, `tls`, or `none` inside a safe network")
    smtp_ca_file: str = _setting("", "certificate authority of its own, PEM")
    smtp_user: str = _setting("", "our name there; empty: no login")
    smtp_password_file: str = _setting("", "file with the password of `SMTP_USER`")
    audit_syslog: str = _setting(
        "", "`HOST:PORT` that collects the audit by syslog over TLS; empty: it stays here"
    )
    audit_syslog_ca_file: str = _setting("", "certificate authority of its own, PEM")
    audit_syslog_certificate_file: str = _setting("", "our certificate and its key there, PEM")
    rollout_saving_low: int = _setting(
        500_000, "roubles that one renewed unit saves in a year, at least"
    )
    rollout_saving_high: int = _setting(3_000_000, "and at most")
    rollout_open_data: str = _setting(
        "off", "`on`: everyone may read `/api/v1/rollout`; `off`: who may read figures"
    )
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR")
    log_form: str = _setting("text", "`text` for people, `json` for machines")

    @cached_property
    def base_url(self) -> str:
        """Public address without a trailing slash."""
        host = f"[{self.bind}]" if ":" in self.bind else self.bind
        scheme = "https" if self.has_tls else "http"
        return self.public_url.rstrip("/") or f"{scheme}://{host}:{self.port}"

    @property
    def has_tls(self) -> bool:
        """Whether connections to this process itself are encrypted."""
        return bool(self.tls_certificate_file)

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine reach it."""
        try:
            return ipaddress.ip_address(self.bind).is_loopback
        except ValueError:
            return self.bind == "localhost"

    @property
    def proxies(self) -> tuple[Network, ...]:
        """Whose word on the caller's address counts."""
        declared = _parts(self.trusted_proxies)
        if not declared and self.is_loopback:
            declared = ["127.0.0.0/8", "::1"]
        return tuple(ipaddress.ip_network(one) for one in declared)

    @property
    def hosts(self) -> frozenset[str]:
        """Names by which callers may ask for us, without ports."""
        named = urlsplit(self.base_url).hostname or ""
        return frozenset({named, *map(str.lower, _parts(self.trusted_hosts))})

    @property
    def database(self) -> str:
        """SQLAlchemy URL that is really used."""
        return self.database_url or f"sqlite:///{(self.state_dir / 'gateway.db').absolute()}"

    @property
    def keyring_file(self) -> Path:
        """Made by `gateway init`, read by every process that judges who somebody is."""
        return Path(self.key_file) if self.key_file else self.state_dir / "gateway.key"

    @property
    def allowed_origins(self) -> frozenset[str]:
        return frozenset(_parts(self.cors_origins))


def _parts(listed: str) -> list[str]:
    return [part.strip() for part in listed.split(",") if part.strip()]


def meanings() -> dict[str, tuple[str, str]]:
    """Every variable with its default and meaning, for the README and `gateway settings`."""
    return {
        PREFIX + f.name.upper(): (str(f.default), str(f.metadata["meaning"]))
        for f in fields(Settings)
    }


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read GATEWAY_* and return checked settings.

    overrides  values from the command line; None means "not given"
    raises     SettingsError with every mistake, each naming its variable
    """
    env = os.environ if environ is None else environ
    known = {PREFIX + f.name.upper(): f for f in fields(Settings)}
    mistakes = [
        f"{name}: no such setting; see the table in README"
        for name in env
        if name.startswith(PREFIX) and name not in known
    ]
    values: dict[str, object] = {}
    for name, f in known.items():
        raw = env.get(name)
        if raw is None:
            continue
        kind: type[Any] = type(getattr(Settings, f.name))
        try:
            values[f.name] = kind(raw)
        except ValueError:
            mistakes.append(f"{name}: must be of the kind {kind.__name__}")
    values.update({key: value for key, value in overrides.items() if value is not None})
    if mistakes:
        raise SettingsError(mistakes)
    settings = Settings(**values)  # type: ignore[arg-type]
    mistakes = _check(settings)
    if mistakes:
        raise SettingsError(mistakes)
    return settings


def _check(settings: Settings) -> list[str]:
    mistakes = _check_network(settings)
    if not 1 <= settings.port <= 65535:
        mistakes.append("GATEWAY_PORT: must be from 1 to 65535")
    if not 0 <= settings.metrics_port <= 65535 or settings.metrics_port == settings.port:
        mistakes.append("GATEWAY_METRICS_PORT: must be another port, or 0")
    public = urlsplit(settings.base_url)
    if public.scheme not in ("http", "https") or not public.netloc or public.query:
        mistakes.append("GATEWAY_PUBLIC_URL: must look like https://images.region.example")
    positive = "web_workers search_deadline_s probe_every_s max_results follow_every_s fill_rate"
    for name in [*positive.split(), "check_every_s"]:
        if getattr(settings, name) <= 0:
            mistakes.append(f"{PREFIX}{name.upper()}: must be greater than 0")
    if not 0 <= settings.proxy_decision_s <= MOST_DECISION_S:
        mistakes.append(f"GATEWAY_PROXY_DECISION_S: must be from 0 to {MOST_DECISION_S}")
    if settings.cache_bytes < LEAST_CACHE_BYTES:
        mistakes.append(f"GATEWAY_CACHE_BYTES: must be at least {LEAST_CACHE_BYTES}")
    if not 0 <= settings.prefetch_series <= MOST_SERIES_AHEAD:
        mistakes.append(f"GATEWAY_PREFETCH_SERIES: must be from 0 to {MOST_SERIES_AHEAD}")
    if settings.access not in ("open", "login"):
        mistakes.append("GATEWAY_ACCESS: must be open or login")
    if settings.doctors_read not in ("own", "region"):
        mistakes.append("GATEWAY_DOCTORS_READ: must be own or region")
    if settings.step_up_s < LEAST_STEP_UP_S:
        mistakes.append(f"GATEWAY_STEP_UP_S: must be at least {LEAST_STEP_UP_S}")
    if settings.rules_approval not in ("optional", "required"):
        mistakes.append("GATEWAY_RULES_APPROVAL: must be optional or required")
    mistakes += _check_issuer(settings)
    if not all(ORIGIN.fullmatch(origin) for origin in settings.allowed_origins):
        mistakes.append("GATEWAY_CORS_ORIGINS: write exact ones, like https://viewer.example:8443")
    if settings.access == "login" and settings.proxy_decision_s > MOST_DECISION_OF_LOGINS_S:
        mistakes.append(
            f"GATEWAY_PROXY_DECISION_S: must be at most {MOST_DECISION_OF_LOGINS_S} with logins: "
            "a right that is withdrawn may not last longer"
        )
    if bool(settings.smtp_host) != bool(settings.mail_from):
        mistakes.append("GATEWAY_SMTP_HOST: GATEWAY_MAIL_FROM belongs to it, and it to that")
    if settings.mail_from and not ADDRESS.fullmatch(settings.mail_from):
        mistakes.append("GATEWAY_MAIL_FROM: must look like gateway@region.example")
    if settings.smtp_security not in ("starttls", "tls", "none"):
        mistakes.append("GATEWAY_SMTP_SECURITY: must be starttls, tls or none")
    if bool(settings.smtp_user) != bool(settings.smtp_password_file):
        mistakes.append("GATEWAY_SMTP_USER: GATEWAY_SMTP_PASSWORD_FILE belongs to it")
    if settings.smtp_user and settings.smtp_security == "none":
        mistakes.append("GATEWAY_SMTP_SECURITY: a password may not go over the line unprotected")
    if settings.audit_syslog and not HOST_AND_PORT.fullmatch(settings.audit_syslog):
        mistakes.append("GATEWAY_AUDIT_SYSLOG: must look like audit.region.example:6514")
    if not 0 <= settings.rollout_saving_low <= settings.rollout_saving_high:
        mistakes.append("GATEWAY_ROLLOUT_SAVING_LOW: must be from 0 to GATEWAY_ROLLOUT_SAVING_HIGH")
    if settings.rollout_open_data not in ("off", "on"):
        mistakes.append("GATEWAY_ROLLOUT_OPEN_DATA: must be off or on")
    if settings.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        mistakes.append("GATEWAY_LOG_LEVEL: must be DEBUG, INFO, WARNING or ERROR")
    if settings.log_form not in ("text", "json"):
        mistakes.append("GATEWAY_LOG_FORM: must be text or json")
    return mistakes


def _check_issuer(settings: Settings) -> list[str]:
    beside = (settings.oidc_client_id, settings.oidc_client_secret_file)
    if not settings.oidc_issuer:
        given = any((*beside, settings.oidc_audience, settings.oidc_ca_file))
        return (
            ["GATEWAY_OIDC_ISSUER: is missing beside the other GATEWAY_OIDC_..."] if given else []
        )
    mistakes = []
    place = urlsplit(settings.oidc_issuer)
    loopback = place.scheme == "http" and place.hostname in ("127.0.0.1", "::1", "localhost")
    if (place.scheme != "https" and not loopback) or place.query or place.fragment:
        mistakes.append("GATEWAY_OIDC_ISSUER: must look like https://id.example/realms/region")
    if settings.access != "login":
        mistakes.append("GATEWAY_OIDC_ISSUER: GATEWAY_ACCESS=login belongs to it")
    if not all(beside):
        mistakes.append(
            "GATEWAY_OIDC_CLIENT_ID: it and GATEWAY_OIDC_CLIENT_SECRET_FILE belong to the issuer"
        )
    elif not Path(settings.oidc_client_secret_file).is_file():
        mistakes.append("GATEWAY_OIDC_CLIENT_SECRET_FILE: there is no such file")
    if settings.oidc_audience and settings.oidc_audience == settings.oidc_client_id:
        # An ID token has the client's id as its audience: it must not pass for an access token.
        mistakes.append("GATEWAY_OIDC_AUDIENCE: must differ from GATEWAY_OIDC_CLIENT_ID")
    return mistakes


def _check_network(settings: Settings) -> list[str]:
    """What must stand before others can reach the gateway (README, "Put it on a network")."""
    mistakes = []
    if bool(settings.tls_certificate_file) != bool(settings.tls_key_file):
        mistakes.append("GATEWAY_TLS_CERTIFICATE_FILE: GATEWAY_TLS_KEY_FILE belongs to it")
    try:
        everybody = any(network.prefixlen == 0 for network in settings.proxies)
    except ValueError:
        everybody = True
    if everybody:
        mistakes.append("GATEWAY_TRUSTED_PROXIES: must be addresses or networks, like 10.0.0.5")
    if settings.has_tls and not settings.base_url.startswith("https://"):
        mistakes.append("GATEWAY_PUBLIC_URL: must begin with https:// where there is TLS")
    if settings.is_loopback:
        return mistakes
    start = BEYOND_LOOPBACK.format(bind=settings.bind)
    if settings.access != "login":
        mistakes.append(
            f"{start}people must sign in: set GATEWAY_ACCESS=login and run `gateway init`, or "
            "listen on 127.0.0.1"
        )
    if not (settings.has_tls or settings.trusted_proxies):
        mistakes.append(
            f"{start}connections must be encrypted: set GATEWAY_TLS_CERTIFICATE_FILE and "
            "GATEWAY_TLS_KEY_FILE, or declare the proxy that does it in GATEWAY_TRUSTED_PROXIES"
        )
    if not settings.public_url.startswith("https://"):
        mistakes.append(
            f"{start}its name must be known: set GATEWAY_PUBLIC_URL to https://... as callers "
            "write it"
        )
    return mistakes
