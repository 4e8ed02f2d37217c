"""The supervisor of `make run`: one start, a readable stream, a clean end, nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from pydicom import dcmread
from pydicom.data import get_testdata_file

from gateway.demo import region as region_module
from gateway.demo.layout import (
    PROGRAMS,
    SITES,
    Layout,
    addresses,
    configured_names,
    load_secrets,
    region_toml,
    table,
    write_compose_files,
)
from gateway.demo.region import (
    LogReader,
    Supervisor,
    check_ports,
    folder_lock,
    next_free_port,
    reset_region,
    run_region,
)
from gateway.demo.servers import Program, answers, read_configuration
from gateway.errors import DemoError
from gateway.region_file import load_region
from tests.waiting import wait_until

real = pytest.mark.real
CT_SMALL = str(get_testdata_file("CT_small.dcm", download=False))
STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))


def fill_nothing(region_file, samples, say):
    say(f"samples would go to the sites of {region_file.name}")


def free_layout(folder: Path) -> Layout:
    """A layout whose ports are all free, below those of free_port; each worker of a parallel run
    looks elsewhere."""
    return Layout(folder, next_free_port(Layout(folder, 10_000 + os.getpid() % 9_000)))


class RunningRegion:
    """`run_region` in a process of its own, as `make run` starts it."""

    def __init__(self, layout: Layout, more: str = "gateway=STAND_IN") -> None:
        code = (
            "import sys; from pathlib import Path; from gateway.demo.region import run_region\n"
            "from tests.demo.test_region import STAND_IN, fill_nothing\n"
            "folder, port = Path(sys.argv[1]), int(sys.argv[2])\n"
            f"sys.exit(run_region(folder, port, fill=fill_nothing, {more}))"
        )
        self.output = layout.folder.parent / "output"
        command = [sys.executable, "-c", code, str(layout.folder), str(layout.first_port)]
        with self.output.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, cwd=Path(__file__).parents[2]
            )

    @property
    def text(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def wait_for(self, words: str, seconds: float = 60.0) -> None:
        def said() -> bool:
            assert self.process.poll() is None, self.text
            return words in self.text

        wait_until(said, seconds, words)

    def children(self) -> dict[int, str]:
        """Process id -> command line of everything that the supervisor started."""
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
                if parent == self.process.pid:
                    found[int(stat.parent.name)] = stat.with_name("cmdline").read_text()
            except OSError:
                continue
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def wait_gone(pids) -> None:
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 20, "their end")


def send(file: str, ae_title: str, port: int) -> int:
    """C-STORE with DCMTK; the exit code."""
    command = ["storescu", "-aet", ae_title, "127.0.0.1", str(port), file]
    return subprocess.run(command, capture_output=True).returncode


def test_sites_are_those_of_orthanc_config():
    assert configured_names() == {site.site_id: site.name_ru for site in SITES}
    titles = {site.site_id: read_configuration(site.site_id)["DicomAet"] for site in SITES}
    assert titles == {site.site_id: site.ae_title for site in SITES}


def test_every_queue_has_a_worker_of_its_own_and_emergencies_two():
    queues = [words[2] for words in PROGRAMS.values() if words[0] == "worker"]
    assert queues == ["emergency", "routine", "bulk", "verify", "emergency"]


def test_every_port_is_wanted_by_one_program(tmp_path):
    assert sorted(Layout(tmp_path, 8080).ports()) == list(range(8080, 8090))
    behind = Layout(tmp_path, 8080, proxy=True)
    assert sorted(behind.ports()) == list(range(8080, 8091))
    assert (behind.ports()[8080], behind.ports()[8090]) == ("nginx", "gateway")


def test_region_toml_is_what_the_gateway_reads(tmp_path):
    layout = Layout(tmp_path, 9000)
    passwords = load_secrets(tmp_path)
    urls = {site.site_id: layout.site_url(site) for site in SITES}
    layout.region_file.write_text(region_toml(urls, "secrets/"), encoding="utf-8")
    region = load_region(layout.region_file)
    assert [(site.site_id, site.url, site.password) for site in region.sites] == [
        (site.site_id, f"http://127.0.0.1:{9001 + n}", passwords[site.site_id])
        for n, site in enumerate(SITES)
    ]
    assert [site.site_id for site in region.sites if site.role == "archive"] == ["archive"]
    assert {site.time_zone for site in region.sites} == {"Asia/Yekaterinburg"}


def test_passwords_are_random_kept_and_closed_to_others(tmp_path):
    first = load_secrets(tmp_path / "a")
    assert len(set(first.values())) == 1 + 2 * len(SITES)
    assert load_secrets(tmp_path / "a") == first
    assert load_secrets(tmp_path / "b") != first
    modes = {file.stat().st_mode & 0o777 for file in (tmp_path / "a" / "secrets").iterdir()}
    assert modes == {0o600}


def test_printed_table_names_every_address_and_login(tmp_path):
    layout = Layout(tmp_path, 9000)
    passwords = load_secrets(tmp_path)
    document = addresses(layout, passwords, "redis://127.0.0.1:9009/0")
    text = table(document)
    for words in ("http://127.0.0.1:9000/viewer/", "http://127.0.0.1:9000/dicom-web"):
        assert words in text
    for site in document["sites"]:
        rows = text[text.index(site["name_ru"]) :].splitlines()
        assert rows[1].strip() == site["name_en"]
        title = f"{site['ae_title']}:{site['dicom_port']}"
        assert rows[2].split() == [site["url"], site["user"], site["password"], title]
    assert document["archive"]["url"] == "http://127.0.0.1:9004"


def test_a_taken_port_is_named_with_who_wants_it_and_what_to_do(tmp_path):
    layout = free_layout(tmp_path / "region")
    said = []
    with socket.socket() as other:
        other.bind(("127.0.0.1", layout.dicom_port(SITES[1])))
        other.listen()
        with pytest.raises(DemoError) as caught:
            check_ports(layout, patience_s=0)
        russian, english = str(caught.value).splitlines()
        assert russian.startswith(f"Порт {layout.dicom_port(SITES[1])} занят")
        assert f"{layout.dicom_port(SITES[1])} is taken, and Orthanc magnit, DICOM" in english
        assert "PORT=" in english
        assert run_region(layout.folder, layout.first_port, fill=fill_nothing, say=said.append) == 1
    assert said == [str(caught.value)]
    assert not (layout.folder / "logs").exists()


@pytest.mark.parametrize("port", [0, 80, 65530])
def test_a_first_port_without_room_for_all_is_refused(tmp_path, port):
    said = []
    assert run_region(tmp_path / "region", port, fill=fill_nothing, say=said.append) == 1
    assert f"PORT={port}: must be from 1024 to 65526" in said[0]
    assert not (tmp_path / "region").exists()


def test_two_regions_do_not_share_a_folder(tmp_path):
    said = []
    with folder_lock(tmp_path):
        assert run_region(tmp_path, 20000, fill=fill_nothing, say=said.append) == 1
        with pytest.raises(DemoError, match="runs already"):
            reset_region(tmp_path)
    assert "runs already" in said[0]


def test_reset_empties_a_region_and_nothing_else(tmp_path):
    with folder_lock(tmp_path / "region"):
        load_secrets(tmp_path / "region")
    (tmp_path / "region" / "link").symlink_to(tmp_path / "foreign")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis").write_text("years of work")
    reset_region(tmp_path / "region")
    reset_region(tmp_path / "region")
    reset_region(tmp_path / "missing")
    assert list((tmp_path / "region").iterdir()) == []
    with pytest.raises(DemoError, match="is left alone"):
        reset_region(tmp_path / "foreign")
    assert (tmp_path / "foreign" / "thesis").exists()


def test_a_half_written_line_of_a_log_waits_for_its_end(tmp_path):
    log = LogReader(tmp_path / "log")
    assert log.new_lines() == []
    (tmp_path / "log").write_bytes("один\nдва и ещё".encode()[:-1])
    assert log.new_lines() == ["один"]
    (tmp_path / "log").write_bytes("один\nдва и ещё\n".encode())
    assert log.new_lines() == ["два и ещё"]


def test_a_program_that_keeps_dying_ends_the_region(tmp_path, monkeypatch):
    said = []
    now = [0.0]
    monkeypatch.setattr(region_module, "monotonic_s", lambda: now[0])
    supervisor = Supervisor(Layout(tmp_path, 20000), STAND_IN, fill_nothing, said.append)
    starts = []

    class Dead(Program):
        alive = False
        exit_code = 7

        def launch(self):
            starts.append(now[0])

    dead = Dead("keeper", ["true"], tmp_path / "keeper.log")
    dead.log_file.write_text("the disk is full\n")
    supervisor.programs = [dead]

    def half_a_minute_of_turns():
        for second in range(30):
            now[0] = float(second)
            supervisor._look_after(dead)

    with pytest.raises(DemoError, match="keeper ends again and again"):
        half_a_minute_of_turns()
    assert starts == [1, 4, 9]
    report = next(text for text in said if "Ended: keeper (code 7)" in text)
    assert "the disk is full" in report


def test_compose_files_are_open_inside_a_closed_folder(tmp_path):
    write_compose_files(tmp_path / "compose")
    first = {file.name: file.read_text() for file in (tmp_path / "compose").glob("*.*")}
    write_compose_files(tmp_path / "compose")
    assert {file.name: file.read_text() for file in (tmp_path / "compose").glob("*.*")} == first
    assert (tmp_path / "compose").stat().st_mode & 0o777 == 0o700
    zlat = json.loads(first["zlat.json"])
    assert zlat["RegisteredUsers"].keys() == {"zlat"}
    assert zlat["DicomModalities"]["archive"] == ["ARCHIVE", "archive", 4242]
    assert zlat["GatewayBell"]["Url"] == "http://web:8000/events"


@real
def test_region_starts_answers_and_ends_by_ctrl_c(tmp_path):
    layout = free_layout(tmp_path / "data of the region")
    with RunningRegion(layout) as run:
        run.wait_for("The region is up")
        document = json.loads((layout.folder / "addresses.json").read_text(encoding="utf-8"))
        assert requests.get(document["gateway"] + "/healthz", timeout=5).status_code == 200
        for site in document["sites"]:
            login = (site["user"], site["password"])
            system = requests.get(site["url"] + "/system", auth=login, timeout=5).json()
            assert (system["Name"], system["DicomPort"]) == (site["name_ru"], site["dicom_port"])
            found = requests.get(site["dicomweb"] + "/studies", auth=login, timeout=5)
            assert found.json() == []
        assert send(CT_SMALL, "DEMO", layout.dicom_port(SITES[0])) == 0
        assert send(CT_SMALL, "STRANGER", layout.dicom_port(SITES[0])) != 0
        children = run.children()
        assert len(children) == 1 + len(SITES) + len(PROGRAMS)
        run.wait_for("worker-bulk        │ started: worker --queue bulk --region")
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(60) == 0
        assert "Everything has stopped." in run.text
        wait_gone(children)


@real
def test_behind_nginx_the_gateway_decides_and_nginx_fetches(tmp_path):
    layout = replace(free_layout(tmp_path / "a region"), proxy=True)
    with RunningRegion(layout, "proxy=True") as run:
        run.wait_for("The region is up", 120)
        document = json.loads((layout.folder / "addresses.json").read_text(encoding="utf-8"))
        site = document["sites"][0]
        login = (site["user"], site["password"])
        file = Path(CT_SMALL).read_bytes()
        requests.post(site["url"] + "/instances", file, auth=login, timeout=30).raise_for_status()
        study = f"{document['dicomweb']}/studies/{dcmread(CT_SMALL).StudyInstanceUID}"
        wait_until(lambda: requests.get(study + "/instances", timeout=30).ok, 60, "the image")
        (found,) = requests.get(study + "/instances", timeout=30).json()
        url = found["00081190"]["Value"][0]
        assert url.startswith(document["dicomweb"])
        accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        image = requests.get(url, headers=accept, timeout=30)
        assert (image.status_code, file[-1000:] in image.content) == (200, True)
        # The gateway itself forbids less: these are nginx's words for what came from a site.
        assert image.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert image.headers["Server"] == "nginx"
        assert len(run.children()) == 2 + len(SITES) + len(PROGRAMS)
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(60) == 0


@real
def test_region_that_was_killed_leaves_nothing_and_starts_again(tmp_path):
    layout = free_layout(tmp_path / "region")
    with RunningRegion(layout) as run:
        run.wait_for("The region is up")
        passwords = load_secrets(layout.folder)
        children = run.children()
        assert len(children) == 1 + len(SITES) + len(PROGRAMS)
        run.process.kill()
        wait_gone(children)
    run.output.unlink()
    with RunningRegion(layout) as run:
        run.wait_for("The region is up")
        assert load_secrets(layout.folder) == passwords
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(60) == 0


@real
def test_a_dead_orthanc_is_told_and_started_again(tmp_path):
    layout = free_layout(tmp_path / "region")
    with RunningRegion(layout) as run:
        run.wait_for("The region is up")
        victim = next(pid for pid, command in run.children().items() if "sites/zlat" in command)
        os.kill(victim, signal.SIGKILL)
        run.wait_for("Ended: zlat (code -9)")
        login = ("zlat", load_secrets(layout.folder)["zlat"])
        port = layout.http_port(SITES[2])
        wait_until(lambda: answers(port, "/system", login), 30, "the second life of zlat")
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(60) == 0
