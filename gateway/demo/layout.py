"""What the demo region consists of: sites, programs, ports, files and logins. Starts nothing.

`make run` (gateway/demo/region.py) and compose.yaml are made of the same table, and a test keeps
them equal. Ports follow one another from the first: gateway, sites' HTTP, sites' DICOM, Redis.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.demo.servers import (
    CONFIG_DIR,
    REDIS_USER,
    read_configuration,
    redis_conf,
    write_private,
)
from gateway.model.sites import PLAIN_HTTP, is_loopback

TIME_ZONE = "Asia/Yekaterinburg"
REGION_RU = "Демонстрационный регион"
REGION_EN = "Demo region"
DEFAULT_PORT = 8080
# The AE title that a person's own DICOM tools use to send to a demo hospital (storescu -aet DEMO).
DEMO_AE_TITLE = "DEMO"
PASSWORD_BYTES = 18


@dataclass(frozen=True)
class DemoSite:
    """One Orthanc of the demo region; the rest stands in orthanc-config/SITE_ID.json."""

    site_id: str
    name_ru: str
    name_en: str
    role: str = "hospital"

    @property
    def ae_title(self) -> str:
        return self.site_id.upper()

    @property
    def event_key(self) -> str:
        """Name of the secret with which its plugin signs (plugins/gateway_bell.py)."""
        return f"{self.site_id}-events"


SITES = (
    DemoSite(
        "gkb1",
        "Городская клиническая больница № 1 (Челябинск)",
        "City Clinical Hospital No. 1 (Chelyabinsk)",
    ),
    DemoSite(
        "magnit",
        "Городская больница № 1 им. Дробышева (Магнитогорск)",
        "Drobyshev City Hospital No. 1 (Magnitogorsk)",
    ),
    DemoSite("zlat", "Городская больница (Златоуст)", "City Hospital (Zlatoust)"),
    DemoSite("archive", "Региональный архив", "Regional archive", "archive"),
)
QUEUES = ("emergency", "routine", "bulk", "verify")
# One queue per worker process: a worker of two queues may lose a job (routing.md E1).
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "web": ("web",),
    "keeper": ("keeper",),
    **{f"worker-{queue}": ("worker", "--queue", queue) for queue in QUEUES},
    # One may be at a large study when the next emergency comes.
    "worker-emergency-2": ("worker", "--queue", "emergency"),
}
# For as long nginx may keep a decision of the gateway (GATEWAY_PROXY_DECISION_S).
DECISION_S = 10
BELLS_PORT = 8000  # of the containers' nginx: /events without TLS


@dataclass(frozen=True)
class Layout:
    """Where everything of one region is: folders below `folder`, ports from `first_port` on.

    proxy  nginx stands in front, at the first port; the gateway has a port of its own then
    """

    folder: Path
    first_port: int = DEFAULT_PORT
    proxy: bool = False

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.first_port}"

    def http_port(self, site: DemoSite) -> int:
        return self.first_port + 1 + SITES.index(site)

    def dicom_port(self, site: DemoSite) -> int:
        return self.first_port + 1 + len(SITES) + SITES.index(site)

    def site_url(self, site: DemoSite) -> str:
        return f"http://127.0.0.1:{self.http_port(site)}"

    @property
    def redis_port(self) -> int:
        return self.first_port + 1 + 2 * len(SITES)

    @property
    def web_port(self) -> int:
        """Where the gateway itself listens."""
        return self.redis_port + 1 if self.proxy else self.first_port

    def ports(self) -> dict[int, str]:
        """Every port with the name of what wants it."""
        return {
            **({self.first_port: "nginx"} if self.proxy else {}),
            self.web_port: "gateway",
            **{self.http_port(site): f"Orthanc {site.site_id}, HTTP" for site in SITES},
            **{self.dicom_port(site): f"Orthanc {site.site_id}, DICOM" for site in SITES},
            self.redis_port: "Redis",
        }

    @property
    def region_file(self) -> Path:
        return self.folder / "region.toml"

    @property
    def state(self) -> Path:
        """The gateway's database; also the working folder of its programs.

        Nothing in it may bear the name of a Python package: gunicorn imports from there first.
        """
        return self.folder / "state"

    @property
    def proxy_folder(self) -> Path:
        return self.folder / "nginx"

    @property
    def samples(self) -> Path:
        return self.folder / "samples"

    @property
    def dicom_addresses(self) -> dict[str, tuple[str, int]]:
        return {site.site_id: ("127.0.0.1", self.dicom_port(site)) for site in SITES}

    def secret_file(self, name: str) -> Path:
        return self.folder / "secrets" / name

    def log_file(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def site_folder(self, site: DemoSite) -> Path:
        return self.folder / "sites" / site.site_id


def load_secrets(folder: Path) -> dict[str, str]:
    """Every password and every key of events, made once and kept in folder/secrets."""
    names = ["redis", *(site.site_id for site in SITES), *(site.event_key for site in SITES)]
    return {name: _load_secret(folder / "secrets" / name) for name in names}


def _load_secret(file: Path) -> str:
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        secret = ""
    if not secret:
        secret = secrets.token_urlsafe(PASSWORD_BYTES)
        write_private(file, secret + "\n")
    return secret


def region_toml(site_urls: Mapping[str, str], secrets_folder: str) -> str:
    """The text of region.toml (model/reading_region.py parses it) for sites at these addresses."""
    head = {"name_ru": REGION_RU, "name_en": REGION_EN, "home_site": SITES[0].site_id}
    tables = [_table("[region]", head)]
    for site in SITES:
        values: dict[str, str | list[str]] = {
            "id": site.site_id,
            "name_ru": site.name_ru,
            "name_en": site.name_en,
            "role": site.role,
            "url": site_urls[site.site_id],
            "username": site.site_id,
            "password_file": f"{secrets_folder}{site.site_id}",
            "event_key_file": f"{secrets_folder}{site.event_key}",
            "time_zone": TIME_ZONE,
            "patient_id_issuer": site.ae_title,
            "ae_title": site.ae_title,
        }
        if not is_loopback(urlsplit(site_urls[site.site_id]).hostname or ""):
            values["signed"] = [PLAIN_HTTP]  # containers on one host's own network
        tables.append(_table("[[site]]", values))
    return "\n".join(tables)


def _table(title: str, values: Mapping[str, str | list[str]]) -> str:
    # A JSON string is a TOML basic string, and a list of them an array.
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join([title, *lines, ""])


def site_settings(
    site: DemoSite, dicom_addresses: Mapping[str, tuple[str, int]], gateway_url: str, key_file: str
) -> dict[str, Any]:
    """What one Orthanc must know about the others and about the gateway.

    dicom_addresses  host and DICOM port of every site, by site id
    key_file         where this Orthanc finds the key for the events of its plugin
    """
    known = {
        other.site_id: [other.ae_title, *dicom_addresses[other.site_id]]
        for other in SITES
        if other is not site
    }
    # Nobody listens there: it is only allowed to send.
    known["demo"] = [DEMO_AE_TITLE, "127.0.0.1", 104]
    bell = {"Url": f"{gateway_url}/events", "Site": site.site_id, "KeyFile": key_file}
    return {"DicomModalities": known, "GatewayBell": bell}


def gateway_environment(layout: Layout, redis_url: str, viewer: Path) -> dict[str, str]:
    """The settings of web, keeper and workers."""
    environ = {
        "GATEWAY_BIND": "127.0.0.1",
        "GATEWAY_PORT": str(layout.web_port),
        "GATEWAY_STATE_DIR": str(layout.state),
        "GATEWAY_REDIS_URL": redis_url,
        "GATEWAY_VIEWER_DIR": str(viewer),
    }
    if layout.proxy:
        environ["GATEWAY_PUBLIC_URL"] = layout.gateway_url
        environ["GATEWAY_PROXY_DECISION_S"] = str(DECISION_S)
    return environ


def proxy_command(region: str, listen: str, folder: str, output: str) -> list[str]:
    """The words after `gateway` that write what nginx reads; compose.yaml adds TLS and bells."""
    words = ["nginx-config", "--region", region, "--listen", listen]
    return [*words, "--folder", folder, "--output", output]


def addresses(layout: Layout, passwords: Mapping[str, str], redis_url: str) -> dict[str, Any]:
    """Everything that a script needs to find the region: the document addresses.json."""
    sites = [
        {
            "id": site.site_id,
            "role": site.role,
            "name_ru": site.name_ru,
            "name_en": site.name_en,
            "url": layout.site_url(site),
            "dicomweb": layout.site_url(site) + "/dicom-web",
            "user": site.site_id,
            "username": site.site_id,
            "password": passwords[site.site_id],
            "dicom_port": layout.dicom_port(site),
            "ae_title": site.ae_title,
        }
        for site in SITES
    ]
    return {
        "gateway": layout.gateway_url,
        "dicomweb": layout.gateway_url + "/dicom-web",
        "viewer": layout.gateway_url + "/viewer/",
        "redis": redis_url,
        "region": str(layout.region_file),
        "sites": sites,
        "archive": next(site for site in sites if site["role"] == "archive"),
    }


def table(document: Mapping[str, Any]) -> str:
    """The addresses and logins as people read them, Russian first; 80 columns are enough."""
    heads = (
        ("Шлюз / Gateway", document["gateway"] + "/"),
        ("DICOMweb", document["dicomweb"]),
        ("Просмотр / Viewer", document["viewer"]),
    )
    lines = ["", *(f"  {name:<19}{url}" for name, url in heads), ""]
    row = "  {:<23}{:<9}{:<26}{}"
    lines += [
        row.format("Площадка / Site", "Имя/User", "Пароль / Password", "DICOM"),
        "  " + "─" * 74,
    ]
    for site in document["sites"]:
        lines += [
            f"  {site['name_ru']}",
            f"  {site['name_en']}",
            row.format(
                site["url"],
                site["user"],
                site["password"],
                f"{site['ae_title']}:{site['dicom_port']}",
            ),
            "",
        ]
    return "\n".join(lines)


def write_compose_files(folder: Path) -> None:
    """The files that compose.yaml mounts: region.toml, secrets, sites, redis.conf, gateway.env.

    The folder is closed to other users of the machine; the files are open, because the programs
    inside the containers run as users of their own. Passwords stay when it runs again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / "tls").mkdir(exist_ok=True)  # certificate.pem and key.pem, where nginx speaks TLS
    passwords = load_secrets(folder)
    database = _load_secret(folder / "secrets" / "database")
    urls = {site.site_id: f"http://{site.site_id}:8042" for site in SITES}
    dicom = {site.site_id: (site.site_id, 4242) for site in SITES}
    files = {
        "region.toml": region_toml(urls, ""),
        "redis.conf": redis_conf(passwords["redis"], {"dir": "/data"}, limited=True),
        "gateway.env": (
            f"GATEWAY_REDIS_URL=redis://{REDIS_USER}:{passwords['redis']}@redis:6379/0\n"
            f"GATEWAY_DATABASE_URL=postgresql+psycopg://gateway:{database}@database/gateway\n"
        ),
    }
    for site in SITES:
        settings = site_settings(
            site, dicom, f"http://web:{BELLS_PORT}", f"/run/secrets/{site.event_key}"
        )
        # A container's address is not known beforehand; ports are published to loopback only.
        settings |= {"DicomCheckModalityHost": False, "RemoteAccessAllowed": True}
        settings |= {"RegisteredUsers": {site.site_id: passwords[site.site_id]}}
        settings |= {"PythonScript": "/plugins/gateway_bell.py"}
        files[f"{site.site_id}.json"] = json.dumps(settings, indent=2) + "\n"
    for name, text in files.items():
        write_private(folder / name, text)
    for file in (*(folder / name for name in files), *(folder / "secrets").iterdir()):
        file.chmod(0o644)


def configured_names() -> dict[str, str]:
    """The name that each site's Orthanc says of itself, to be compared with SITES."""
    return {site.site_id: read_configuration(site.site_id, CONFIG_DIR)["Name"] for site in SITES}
