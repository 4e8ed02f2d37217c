"""`gateway rules ...` as a hospital's engineer uses it, against a real database file."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from gateway.cli import main

REGION = """\
[region]
name_ru = "Край"
name_en = "Region"
home_site = "north"

[[site]]
id = "north"
name_ru = "Север"
name_en = "North"
url = "http://127.0.0.1:9"

[[site]]
id = "archive"
name_ru = "Архив"
name_en = "Archive"
url = "http://127.0.0.1:10"
role = "archive"
"""

RULES = """\
site: north
rules:
  - id: ct
    name: КТ в архив
    state: active
    when: {all: [{field: Modality, op: equals, value: CT}]}
    then: [{do: send, target: archive}]
otherwise: [{do: hold, reason: нет правила}]
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "region.toml").write_text(REGION, "utf-8")
    monkeypatch.setenv("GATEWAY_REGION", str(tmp_path / "region.toml"))
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{tmp_path / 'gateway.db'}")
    monkeypatch.setenv("USER", "ivanova")

    def run(*words: object, rules: str | None = None) -> Result:
        given = [str(word) for word in words]
        if rules is not None:
            (tmp_path / "rules.yaml").write_text(rules, "utf-8")
            given.append(str(tmp_path / "rules.yaml"))
        return CliRunner().invoke(main, ["rules", *given])

    return run


def write_dicom(file: Path, modality: str, **elements: str) -> Path:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.SOPInstanceUID = "1.2.3.1.1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    dataset.Modality = modality
    dataset.save_as(file, enforce_file_format=True)
    return file


def test_a_good_file_is_read_back_in_words(run):
    result = run("check", rules=RULES)
    assert result.exit_code == 0
    assert "ct [active] Если модальность равно CT, то отправить в archive" in result.output
    assert "ct [active] If modality is CT, then send to archive" in result.output


def test_a_mistake_names_its_line_in_both_languages_and_saves_nothing(run):
    wrong = RULES.replace("op: equals", "op: like")
    result = run("save", "--comment", "x", rules=wrong)
    assert result.exit_code == 1
    assert "строка / line 6: rules[1].when.all[1].op: для этого поля возможны: equals" in (
        result.output
    )
    assert "строка / line 6: rules[1].when.all[1].op: this field takes: equals" in result.output
    assert "no version" in run("list", "north").output


def test_rules_for_a_destination_that_the_region_does_not_have_are_not_saved(run):
    result = run("save", "--comment", "x", rules=RULES.replace("archive", "elsewhere"))
    assert result.exit_code == 1
    assert "строка / line 7: rules[1].then[1].target: такого получателя нет" in result.output
    assert "no version" in run("list", "north").output


def test_versions_are_saved_compared_activated_and_rolled_back(run):
    assert "north: версия / version 1" in run("save", "--comment", "первая", rules=RULES).output
    second = RULES.replace("value: CT", "value: MR")
    result = run("save", "--comment", "вторая", rules=second)
    assert 'rule "КТ в архив": added: modality is MR' in result.output
    assert "version 2" in result.output
    assert run("show", "north", "--version", 1).output == run("show", "north").output.replace(
        "value: MR", "value: CT"
    )
    assert "правило «КТ в архив»: убрано: модальность равно CT" in (
        run("diff", "north", 1, 2).output
    )
    assert run("activate", "north", 2).exit_code == 0
    assert run("activate", "north", 1).exit_code == 0
    listed = run("list", "north").output
    assert "● 1  " in listed
    assert "○ 2  " in listed
    assert "вторая" in listed


def test_somebody_elses_version_is_not_overwritten(run):
    run("save", "--comment", "x", rules=RULES)
    result = run("save", "--comment", "y", "--based-on", 0, rules=RULES.replace("CT", "MR"))
    assert result.exit_code == 1
    assert "version 1 was saved meanwhile" in result.output


def test_a_second_person_must_be_another_person(run):
    run("save", "--comment", "x", rules=RULES)
    assert run("activate", "north", 1, "--second-person").exit_code == 0
    assert "waits for a second person" in run("list", "north").output
    assert "your own" in run("approve", 1).output
    assert run("approve", 1, "--by", "petrov").exit_code == 0
    assert "● 1  " in run("list", "north").output


def test_the_settings_may_demand_a_second_person_of_everybody(run, monkeypatch):
    monkeypatch.setenv("GATEWAY_RULES_APPROVAL", "required")
    run("save", "--comment", "x", rules=RULES)
    assert "once approved" in run("activate", "north", 1).output
    assert "○ 1  " in run("list", "north").output
    assert run("approve", 1).exit_code == 1
    assert run("approve", 1, "--by", "petrov").exit_code == 0
    assert "● 1  " in run("list", "north").output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("activate", "north", 7), "no such version"),
        (("activate", "north", 1, "--at", "2020-01-01T00:00+00:00"), "give a later one"),
        (("activate", "north", 1, "--at", "2040-01-01T00:00"), "add the zone"),
        (("activate", "north", 1, "--at", "soon"), "2026-01-31T08:00+03:00"),
        (("show", "south"), "no such version"),
        (("test", "--site", "south", get_testdata_file("CT_small.dcm")), "is no site"),
        (("test", "--site", "north"), "give either files or --study"),
        (("test", "--site", "north", "--study", "A77"), "the index has no such study"),
        (("explain", "A77"), "the index has no such study"),
        (("explain", "A77", "--version", 9), "the index has no such study"),
        (("test", "--site", "north", __file__), "is no DICOM file"),
        (("test", "--site", "north", get_testdata_file("image_dfl.dcm")), "deflate"),
    ],
    ids=lambda value: " ".join(map(str, value[:2])) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_said(run, words, told):
    run("save", "--comment", "x", rules=RULES)
    result = run(*words)
    assert result.exit_code == 1
    assert told in result.output
    assert "Traceback" not in result.output


def test_rules_for_an_unknown_hospital_are_refused(run):
    result = run("save", "--comment", "x", rules=RULES.replace("site: north", "site: south"))
    assert "is no site of region.toml" in result.output


def test_a_file_tries_the_rules_that_count_and_those_of_a_file(run, tmp_path):
    ct, mr = (write_dicom(tmp_path / f"{m}.dcm", m) for m in ("CT", "MR"))
    nothing = run("test", "--site", "north", ct)
    assert "■ задержано / held: у больницы нет правил / the hospital has no rules" in nothing.output
    run("save", "--comment", "x", rules=RULES)
    run("activate", "north", 1)
    sent = run("test", "--site", "north", ct).output
    assert "→ archive (north/ct, routine)" in sent
    assert "верно / true: модальность равно CT / modality is CT [ct]" in sent
    held = run("test", "--site", "north", mr).output
    assert "■ задержано / held: нет правила (north/otherwise)" in held
    assert "неверно / false: модальность равно CT / modality is CT [mr]" in held
    file = tmp_path / "other.yaml"
    file.write_text(RULES.replace("equals, value: CT", "missing"), "utf-8")
    other = run("test", "--site", "north", "--file", file, ct).output
    assert "○ north/ct" in other


def test_what_a_file_does_not_say_is_not_taken_for_missing(run, tmp_path):
    ct = write_dicom(tmp_path / "CT.dcm", "CT")
    rules = RULES.replace("Modality, op: equals, value: CT", "source_aet, op: equals, value: CT1")
    file = tmp_path / "other.yaml"
    file.write_text(rules, "utf-8")
    told = run("test", "--site", "north", "--file", file, ct).output
    assert "не прочитано / could not be read: AE отправителя равно CT1" in told
    assert "■ задержано / held: поле, по которому судит правило, не читается" in told
    file.write_text(rules.replace("site: north", "site: south"), "utf-8")
    assert "these are rules of south" in run("test", "--site", "north", "--file", file, ct).output


def test_a_value_cannot_move_the_terminals_cursor(run, tmp_path):
    image = write_dicom(tmp_path / "CT.dcm", "CT", PatientComments="a\x07b\u202ec" + "x" * 500)
    rules = RULES.replace("Modality, op: equals", "PatientComments, op: contains")
    (tmp_path / "other.yaml").write_text(rules, "utf-8")
    told = run("test", "--site", "north", "--file", tmp_path / "other.yaml", image).output
    assert "[a·b·cxxx" in told
    assert "x" * 100 not in told


def test_what_looks_like_code_or_a_template_is_a_text(run):
    name = "{{7*7}} {0.__class__} ${jndi:x} __import__('os')"
    rules = RULES.replace("name: КТ в архив", f'name: "{name}"').replace(
        "value: CT", "value: '{0}'"
    )
    result = run("save", "--comment", name, rules=rules)
    assert f'added rule "{name}": If modality is {{0}}, then send to archive' in result.output
    assert f"ivanova: {name}" in run("list", "north").output
