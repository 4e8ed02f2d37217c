"""Real servers: what a started one does, and that nothing stays behind."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis
import requests

from gateway.demo.servers import (
    REPOSITORY,
    OrthancServer,
    Program,
    RedisServer,
    free_port,
    read_configuration,
    write_private,
)
from gateway.errors import DemoError
from tests.waiting import wait_until

real = pytest.mark.real
SITE_IDS = ("gkb1", "magnit", "zlat", "archive")


def lives(pid: int) -> bool:
    """Whether that process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_every_site_keeps_what_common_says_and_adds_its_name():
    common = read_configuration("gkb1").keys()
    for site_id in SITE_IDS:
        site = read_configuration(site_id)
        assert site.keys() == common
        assert (site["DefaultEncoding"], site["AuthenticationEnabled"]) == ("Utf8", True)
    assert len({read_configuration(site_id)["DicomAet"] for site_id in SITE_IDS}) == 4


def test_a_secret_file_is_readable_by_its_owner_only(tmp_path):
    file = tmp_path / "new" / "secret"
    file.parent.mkdir()
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "пароль")
    assert (file.stat().st_mode & 0o777, file.read_text(encoding="utf-8")) == (0o600, "пароль")


def test_a_port_is_given_to_one_process_while_that_lives():
    mine = [free_port() for _ in range(3)]
    draw = f"from gateway.demo import servers; servers.PORTS = {mine}; print(servers.free_port())"
    other = subprocess.run(
        [sys.executable, "-c", draw], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert (other.stdout, "no free port" in other.stderr) == ("", True)
    assert len({*mine, free_port()}) == 4


def test_a_program_that_dies_while_starting_shows_the_end_of_its_log(tmp_path):
    script = "echo no disk left; exit 3"
    program = Program("short", ["sh", "-c", script], tmp_path / "log", ready=lambda: False)
    with pytest.raises(DemoError, match="died while starting\nno disk left"):
        program.start()
    assert program.exit_code == 3


def test_a_program_that_never_gets_ready_is_ended(tmp_path):
    program = Program("slow", ["sleep", "600"], tmp_path / "log", ready=lambda: False)
    with pytest.raises(DemoError, match="not ready in 0 s"):
        program.start(deadline_s=0)
    assert program.exit_code == -signal.SIGKILL


def test_a_program_that_ignores_the_polite_word_is_killed(tmp_path):
    script = "trap '' TERM; echo ready; while :; do sleep 1; done"
    program = Program("deaf", ["sh", "-c", script], tmp_path / "log").start()
    wait_until(lambda: "ready" in program.log_tail(), 20, "the first line")
    program.stop(deadline_s=0.1)
    assert program.exit_code == -signal.SIGKILL


def test_a_missing_program_is_named(tmp_path):
    program = Program("nothing", ["/no/such/program"], tmp_path / "log")
    program.launch()
    wait_until(lambda: not program.alive, 20, "its end")
    assert "/no/such/program" in program.log_tail()


def test_children_die_with_a_killed_parent(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from gateway.demo.servers import Program\n"
        "child = Program('child', ['sleep', '600'], Path(sys.argv[1])).start()\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        child_pid = int(parent.stdout.readline())
        command_line = Path(f"/proc/{child_pid}/cmdline")
        wait_until(lambda: command_line.read_text().startswith("sleep"), 20, "the child")
        parent.kill()
    wait_until(lambda: not lives(child_pid), 20, "the child's end")


@real
def test_orthanc_loads_its_plugins_and_asks_for_the_password(start_orthanc, orthanc_generation):
    server = start_orthanc("magnit", generation=orthanc_generation)
    assert requests.get(server.url + "/system", timeout=5).status_code == 401
    assert requests.get(server.dicomweb_url + "/studies", timeout=5).status_code == 401
    system = requests.get(server.url + "/system", auth=server.auth, timeout=5).json()
    assert system["Version"] == orthanc_generation
    assert system["Name"] == "Городская больница № 1 им. Дробышева (Магнитогорск)"
    plugins = requests.get(server.url + "/plugins", auth=server.auth, timeout=5).json()
    wanted = {"dicom-web", "python"} | ({"gdcm"} if orthanc_generation == "1.10.1" else set())
    assert wanted <= set(plugins)
    studies = requests.get(server.dicomweb_url + "/studies", auth=server.auth, timeout=5)
    assert studies.json() == []


@real
def test_orthanc_keeps_its_studies_over_a_restart(tmp_path, orthanc_generation, dicom_file):
    server = OrthancServer(
        tmp_path / "with space",
        "gkb1",
        free_port(),
        free_port(),
        username="tests",
        password="secret",
        generation=orthanc_generation,
    )
    with server:
        stored = requests.post(
            server.url + "/instances", data=dicom_file, auth=server.auth, timeout=10
        )
        assert stored.json()["Status"] == "Success"
        first = server.pid
        server.stop()
        assert not lives(first)
        server.start()
        server.kill()
        server.start()
        instances = requests.get(server.url + "/instances", auth=server.auth, timeout=10).json()
        assert instances == [stored.json()["ID"]]
    assert server.exit_code == 0


@real
def test_a_paused_orthanc_is_silent_and_goes_on_later(start_orthanc):
    server = start_orthanc("zlat")
    server.pause()
    with pytest.raises(requests.Timeout):
        requests.get(server.url + "/system", auth=server.auth, timeout=0.3)
    server.resume()
    assert requests.get(server.url + "/system", auth=server.auth, timeout=10).status_code == 200


@real
def test_orthanc_on_a_taken_port_says_so(start_orthanc, tmp_path):
    taken = start_orthanc("gkb1").http_port
    second = OrthancServer(tmp_path, "zlat", taken, free_port(), username="u", password="p")
    with pytest.raises(DemoError, match=str(taken)):
        second.start()


@real
def test_redis_keeps_every_write_and_never_evicts(redis_server):
    client = redis.Redis.from_url(redis_server.url)
    assert client.config_get("appendonly", "maxmemory-policy", "bind") == {
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "bind": "127.0.0.1",
    }
    client.close()


@real
def test_redis_asks_for_the_password_and_survives_a_power_failure(tmp_path):
    server = RedisServer(tmp_path, free_port(), password="secret")
    with server:
        with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        with redis.Redis.from_url(server.url) as client:
            client.set("delivery", "1")
        server.kill()
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("delivery") == b"1"
