"""The plugin's own decisions, with a stand-in for the module that Orthanc gives it."""

import importlib.util
import json
import sys
import types
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "plugins" / "gateway_bell.py"


class FakeOrthanc(types.ModuleType):
    """Answers as Orthanc does; instance "i7" belongs to study "s0", the study of i10 is s1, ..."""

    class OrthancException(Exception):
        pass

    ChangeType = types.SimpleNamespace(
        NEW_INSTANCE=1, STABLE_STUDY=2, ORTHANC_STARTED=3, ORTHANC_STOPPED=4
    )

    def __init__(self):
        super().__init__("orthanc")
        self.log = []
        self.asked = []
        self.LogWarning = self.LogError = self.log.append

    def GetConfiguration(self):
        return "{}"

    def RestApiGet(self, path):
        self.asked.append(path)
        if path == "/system":
            return '{"Version": "1.10.1"}'
        if path == "/studies/gone":
            raise self.OrthancException
        study = int(path.split("/")[2].strip("is")) // 10
        tags = {"StudyInstanceUID": f"1.2.{study}"}
        return json.dumps({"ID": f"s{study}", "MainDicomTags": tags})


@pytest.fixture
def fake(monkeypatch):
    fake = FakeOrthanc()
    monkeypatch.setitem(sys.modules, "orthanc", fake)
    return fake


@pytest.fixture
def plugin(fake):
    spec = importlib.util.spec_from_file_location("gateway_bell", PLUGIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bell(plugin, tmp_path):
    """A bell whose post() is a list: `bell.sent`; each status of `bell.statuses` is used once."""
    key_file = tmp_path / "key"
    key_file.write_text("k" * 16)
    bell = plugin.Bell("http://127.0.0.1:1/events", "gkb1", str(key_file))
    bell.sent, bell.statuses = [], []

    def post(body):
        bell.sent.append(json.loads(body))
        status = bell.statuses.pop(0) if bell.statuses else 202
        if status == 0:
            raise ConnectionRefusedError
        return status

    bell._post = post
    return bell


def _arrive(fake, bell, numbers):
    for number in numbers:
        bell.on_change(fake.ChangeType.NEW_INSTANCE, 0, f"i{number}")


def test_plugin_without_configuration_is_off(plugin, fake):
    assert fake.log == ["gateway_bell 1.0: off, no GatewayBell is configured"]


def test_instances_of_one_study_are_one_event(fake, bell):
    _arrive(fake, bell, range(20))
    bell._ring_all()
    assert [(e["study_uid"], e["orthanc_id"], e["count"]) for e in bell.sent] == [
        ("1.2.0", "i0", 10),
        ("1.2.1", "i10", 10),
    ]


def test_burst_does_not_load_the_database_of_orthanc(fake, plugin, bell):
    _arrive(fake, bell, range(500))
    bell._ring_all()
    assert len(fake.asked) == plugin.LOOKUPS_LIMIT + 1  # and /system
    assert sum(event["count"] for event in bell.sent) == 500
    assert bell.sent[-1]["count"] == 450
    assert "study_uid" not in bell.sent[-1]


def test_full_queue_drops_the_oldest_and_tells_it_later(fake, plugin, bell):
    _arrive(fake, bell, range(plugin.QUEUE_LIMIT + 30))
    bell._ring_all()
    assert bell.sent[0]["orthanc_id"] == "i30"
    assert fake.log[-1] == "gateway_bell: heard again, 30 events lost"


def test_study_that_is_already_gone_still_rings(fake, bell):
    bell.on_change(fake.ChangeType.STABLE_STUDY, 0, "gone")
    bell._ring_all()
    assert [(e["event"], e["orthanc_id"]) for e in bell.sent] == [("StableStudy", "gone")]


@pytest.mark.parametrize(
    ("statuses", "posts"),
    [([503, 202], 2), ([0, 202], 2), ([503, 503], 2), ([401], 1)],
    ids=["busy once", "refused once", "busy twice", "wrong key"],
)
def test_event_is_tried_again_once_where_that_may_help(fake, bell, statuses, posts):
    bell.statuses = list(statuses)
    _arrive(fake, bell, [1])
    bell._ring_all()
    assert len(bell.sent) == posts


def test_round_ends_with_the_first_event_that_nobody_hears(fake, bell):
    bell.statuses = [0, 0]
    _arrive(fake, bell, range(30))
    bell._ring_all()
    _arrive(fake, bell, [0])
    bell._ring_all()
    assert len(bell.sent) == 3
    assert fake.log[1:] == [
        "gateway_bell: not heard (ConnectionRefusedError); "
        "the gateway will find the images by itself",
        "gateway_bell: heard again, 3 events lost",
    ]
