"""compose.yaml is the region of `make run` in containers: same programs, ports and settings."""

import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gateway.cli import main
from gateway.demo.layout import (
    BELLS_PORT,
    DEFAULT_PORT,
    PROGRAMS,
    SITES,
    Layout,
    gateway_environment,
    load_secrets,
    proxy_command,
    site_settings,
    write_compose_files,
)
from gateway.demo.servers import REDIS_OPTIONS, free_port, read_configuration
from gateway.model.sites import Region
from gateway.nginx import configuration
from gateway.region_file import load_region
from gateway.settings import Settings, load_settings
from tests.nginx import Nginx

ROOT = Path(__file__).parents[1]
REGION = ["--region", "/run/secrets/region.toml"]


def compose_command() -> list[str]:
    """`docker compose`, or Debian's docker-compose; neither needs a running Docker for `config`."""
    plugin = ["docker", "compose"]
    if (
        shutil.which("docker")
        and not subprocess.run([*plugin, "version"], capture_output=True).returncode
    ):
        return plugin
    return ["docker-compose"]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """What `gateway demo init` writes."""
    folder = tmp_path_factory.mktemp("region")
    write_compose_files(folder / "compose")
    return folder / "compose"


@pytest.fixture(scope="module")
def services(files) -> dict:
    """The services as `docker compose config` understands them."""
    environ = {k: v for k, v in os.environ.items() if k != "PORT"} | {
        "REGION_DIR": str(files.parent)
    }
    done = subprocess.run(
        [*compose_command(), "-f", str(ROOT / "compose.yaml"), "config"],
        capture_output=True,
        text=True,
        env=environ,
    )
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["services"]


def published(service: dict) -> dict[int, tuple[str, int]]:
    """Port of the machine -> (address, port in the container); both spellings of `config`."""
    ports = {}
    for port in service.get("ports", []):
        if isinstance(port, dict):
            ports[int(port["published"])] = (port["host_ip"], int(port["target"]))
        else:
            address, outside, inside = port.removesuffix("/tcp").split(":")
            ports[int(outside)] = (address, int(inside))
    return ports


def gateway_environ(service: dict, files: Path) -> dict[str, str]:
    """The GATEWAY_* variables of one service, whether `config` shows env_file's lines or not."""
    lines = (files / "gateway.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines) | {
        key: str(value) for key, value in service["environment"].items()
    }


def test_compose_has_the_programs_of_make_run_and_what_they_stand_on(services):
    around = {"redis", "database", "proxy", "proxy-config", "samples", "register"}
    assert services.keys() == PROGRAMS.keys() | {site.site_id for site in SITES} | around


def test_commands_are_those_of_make_run(services):
    dockerfile = (ROOT / ".ci" / "Dockerfile").read_text()
    assert json.loads(re.findall(r"^ENTRYPOINT (.*)$", dockerfile, re.MULTILINE)[-1]) == ["gateway"]
    commands = {name: services[name]["command"] for name in PROGRAMS}
    assert commands == {name: [*words, *REGION] for name, words in PROGRAMS.items()}
    command = services["proxy-config"]["command"]
    folders = ("/dev/shm/gateway-decisions", "/nginx/default.conf")  # noqa: S108
    assert command[: command.index("--certificate")] == proxy_command(REGION[1], "80", *folders)


def test_ports_are_those_of_make_run_and_open_to_this_machine_only(services, tmp_path):
    layout = Layout(tmp_path, DEFAULT_PORT)
    wanted = {"web": {layout.first_port: ("127.0.0.1", 80)}}
    for site in SITES:
        wanted[site.site_id] = {
            layout.http_port(site): ("127.0.0.1", 8042),
            layout.dicom_port(site): ("127.0.0.1", 4242),
        }
    found = {name: published(service) for name, service in services.items()}
    assert {name: ports for name, ports in found.items() if ports} == wanted


def test_settings_are_those_of_make_run(services, files, tmp_path):
    of_make_run = gateway_environment(Layout(tmp_path, proxy=True), "redis://x", tmp_path)
    own = {"GATEWAY_LOG_FORM", "GATEWAY_DATABASE_URL"}
    for name in [*PROGRAMS, "proxy-config", "samples"]:
        environ = gateway_environ(services[name], files)
        assert environ.keys() == of_make_run.keys() | own
        for alike in ("GATEWAY_PUBLIC_URL", "GATEWAY_PROXY_DECISION_S"):
            assert environ[alike] == of_make_run[alike]
        settings = load_settings(environ)
        assert (settings.bind, settings.port) == ("127.0.0.1", DEFAULT_PORT)
        assert settings.base_url == f"http://127.0.0.1:{DEFAULT_PORT}"
        assert settings.database.startswith("postgresql")


def test_the_proxy_stands_where_the_gateway_is_on_loopback(services):
    assert services["proxy"]["network_mode"] == "service:web"


def mount_of(service: dict, target: str) -> str:
    """What stands at this place in a container."""
    mounts = [volume_text(volume).split(":")[:2] for volume in service["volumes"]]
    return next(source for source, place in mounts if place == target)


def test_the_proxy_reads_what_the_gateway_writes(services):
    written, proxy = services["proxy-config"], services["proxy"]
    output = Path(written["command"][written["command"].index("--output") + 1])
    shared = mount_of(written, str(output.parent))
    assert shared == mount_of(proxy, "/etc/nginx/conf.d")
    assert f"-o gateway -g gateway /samples {output.parent}" in (
        (ROOT / ".ci" / "Dockerfile").read_text()
    )
    assert proxy["depends_on"]["proxy-config"] == {"condition": "service_completed_successfully"}


@pytest.fixture
def written(files, services, tmp_path, monkeypatch) -> Callable[..., str]:
    """written(ORIGIN="https://x") -> the file that proxy-config writes; names are not resolved."""
    for file in [files / "region.toml", *(files / "secrets").iterdir()]:
        shutil.copy(file, tmp_path)  # /run/secrets is flat

    def anywhere(_host: str, port: int, **_: object) -> list[tuple]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", anywhere)

    def write(**more: str) -> str:
        command = [
            str(tmp_path / "region.toml") if word == REGION[1] else word
            for word in services["proxy-config"]["command"]
        ]
        command[command.index("--output") + 1] = str(tmp_path / "default.conf")
        environ = gateway_environ(services["proxy-config"], files) | more
        done = CliRunner().invoke(main, command, env=environ, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert (tmp_path / "default.conf").stat().st_mode & 0o777 == 0o600
        return (tmp_path / "default.conf").read_text()

    return write


def test_the_proxy_fetches_images_itself_and_listens_where_the_port_is_published(written, services):
    text = written()
    assert {site.site_id for site in SITES} == set(re.findall(r"location /by-nginx/(\w+)/", text))
    ((_, port),) = published(services["web"]).values()
    assert re.findall(r"listen (.*);", text) == [str(port), str(BELLS_PORT)]
    assert "ssl_certificate" not in text


def test_the_proxy_speaks_tls_where_viewers_come_by_https(written, services):
    text = written(GATEWAY_PUBLIC_URL="https://images.region.example:8443")
    assert re.findall(r"listen (.*);", text) == ["80 ssl", str(BELLS_PORT)]
    files = re.findall(r"ssl_certificate(?:_key)? (/tls/\w+\.pem);", text)
    assert files == ["/tls/certificate.pem", "/tls/key.pem"]
    assert mount_of(services["proxy"], "/tls").endswith("compose/tls")


def test_sites_ring_without_tls(files):
    bell = json.loads((files / "zlat.json").read_text())["GatewayBell"]
    assert bell["Url"] == f"http://web:{BELLS_PORT}/events"


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.site_id)
def test_every_orthanc_is_configured_as_in_make_run(services, files, tmp_path, site):
    service = services[site.site_id]
    mounts = dict(volume.split(":")[:2][::-1] for volume in map(volume_text, service["volumes"]))
    assert mounts["/etc/orthanc/common.json"] == str(ROOT / "orthanc-config" / "common.json")
    assert mounts["/etc/orthanc/site.json"] == str(ROOT / "orthanc-config" / f"{site.site_id}.json")
    assert mounts["/plugins"] == str(ROOT / "plugins")
    own = json.loads((files / f"{site.site_id}.json").read_text())
    layout = Layout(tmp_path)
    here = site_settings(site, layout.dicom_addresses, layout.gateway_url, "key")
    assert own.keys() - here.keys() == {
        "DicomCheckModalityHost",
        "PythonScript",
        "RegisteredUsers",
        "RemoteAccessAllowed",
    }
    assert own["DicomModalities"].keys() == here["DicomModalities"].keys()
    assert (read_configuration(site.site_id) | own)["AuthenticationEnabled"] is True


def volume_text(volume: str | dict) -> str:
    return volume if isinstance(volume, str) else f"{volume['source']}:{volume['target']}"


def test_region_of_the_containers_names_their_services(files, tmp_path, services):
    for file in [files / "region.toml", *(files / "secrets").iterdir()]:
        shutil.copy(file, tmp_path)  # /run/secrets is flat
    region = load_region(tmp_path / "region.toml")
    assert {site.url for site in region.sites} == {f"http://{site.site_id}:8042" for site in SITES}
    assert {site.site_id for site in region.sites} <= services.keys()


def test_redis_keeps_every_write_in_containers_too(files):
    lines = (files / "redis.conf").read_text().splitlines()
    assert {f"{key} {value}" for key, value in REDIS_OPTIONS.items()} <= set(lines)


def test_no_password_stands_in_the_project(files):
    text = (ROOT / "compose.yaml").read_text()
    assert not re.search(r"PASSWORD(?!_FILE)", text)
    assert not [secret for secret in load_secrets(files).values() if secret in text]


class CuttingUpstream(threading.Thread):
    """Answers every request with a chunked body that breaks off, or with a whole one."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                link, _ = self.door.accept()
            except OSError:
                return
            with link:
                whole = b"GET /whole" in link.recv(65536)
                head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                link.sendall(head + b"5\r\nhello\r\n" + (b"0\r\n\r\n" if whole else b""))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_exc):
        self.door.close()


def read_all(port: int, path: str) -> bytes:
    """The raw answer: what stands on the wire, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: link.recv(65536), b""))


@pytest.mark.real
def test_the_front_proxy_does_not_turn_a_cut_answer_into_a_whole_one(tmp_path):
    port = free_port()
    with CuttingUpstream() as upstream:
        nobody = Region(name_ru="", name_en="", home_site="", sites=())
        settings = Settings(port=upstream.port)
        with Nginx(tmp_path, port, configuration(settings, nobody, f"127.0.0.1:{port}", "/-")):
            assert read_all(port, "/whole").endswith(b"5\r\nhello\r\n0\r\n\r\n")
            cut = read_all(port, "/cut")
            assert b"hello" in cut
            assert not cut.endswith(b"0\r\n\r\n")
