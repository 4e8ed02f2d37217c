"""The rule editor as a browser without a script uses it: every button is a form."""

import io
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from html import unescape
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from werkzeug.test import TestResponse

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.model.routing.document import format_rule_set, parse_rule_set
from gateway.records.replays import DONE, end_replay, take_replay
from gateway.records.rules import (
    activate,
    active_version,
    load_activations,
    load_version,
    save_version,
)
from gateway.routing.replay import Replayed, Sampled, Tally
from gateway.web import create_app
from tests.arrived import NOW, touch
from tests.web.forms import form_to, with_token
from tests.web.indexed import indexed_gateway
from tests.web.rows import ROWS, U

HOME = "/console/rules"
GKB1 = f"{HOME}/gkb1"
RULES = """\
site: gkb1
rules:
- id: ct
  name: КТ в архив
  state: active
  when:
    all:
    - field: Modality
      op: equals
      value: CT
  then:
  - do: send
    target: archive
- id: new
  name: Новые
  state: shadow
  when:
    all:
    - field: StudyDate
      op: after
      value: '2026-01-31'
  then:
  - do: send
    target: archive
otherwise:
- do: hold
  reason: нет правила
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with indexed_gateway(tmp_path, ROWS) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> FlaskClient:
    client = create_app(gateway).test_client()
    client.environ_base["HTTP_ORIGIN"] = gateway.settings.base_url
    return with_token(client)


@pytest.fixture
def saved(gateway: Gateway) -> int:
    return keep(gateway, RULES)


def keep(gateway: Gateway, text: str, based_on: int = 0, author: str = "ivanova") -> int:
    rule_set, mistakes = parse_rule_set(text)
    assert rule_set is not None, mistakes
    return save_version(gateway.records, rule_set, author, "первая", based_on, utc_now())


def words(answer: TestResponse) -> str:
    """What a person reads, without the tags."""
    text = re.sub(r"</?(bdi|span|strong)[^>]*>", "", answer.text)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def press(client: FlaskClient, page: TestResponse, act: str, **typed: object) -> TestResponse:
    """Press a button of the page's form, with what was typed into it."""
    ending = "/rule" if 'name="rule"' in page.text else "/gkb1"
    address = f"{GKB1}/rule" if ending == "/rule" else GKB1
    inputs = form_to(page.text, ending)
    for name, value in typed.items():
        inputs.setlist(name.replace("__", "."), value if isinstance(value, list) else [value])
    return client.post(address, data={**inputs.to_dict(flat=False), "act": act})


def save(client: FlaskClient, page: TestResponse, **typed: str) -> TestResponse:
    inputs = form_to(page.text, "/gkb1").to_dict(flat=False)
    return client.post(f"{GKB1}/save", data=inputs | {"by": "ivanova", "comment": "зачем"} | typed)


def test_the_first_page_names_every_owner_and_where_studies_wait(client, saved):
    told = words(client.get(HOME))
    assert "Министерство" in told
    assert "Больница gkb1 Hospital gkb1 ▲ нет: исследования ждут" in told
    assert "версия 1, ivanova: первая" in told
    assert "archive" not in told


def test_a_rule_is_written_with_buttons_alone_saved_activated_and_counts(client, gateway):
    page = press(client, client.get(GKB1), "new")
    assert "Заполните правило" in words(page)
    page = press(
        client, page, "look", name="Срочные", when__0__value=["CT", "MR"],
        then__0__targets="archive", lane="emergency", state="active",
    )  # fmt: skip
    assert (
        "Если модальности — есть хотя бы одно из: CT, MR, то отправить в «Больница archive»"
        in words(page)
    )
    assert 'If modalities has any of: CT, MR, then send to "Hospital archive" (emergency)' in words(
        page
    )
    page = press(client, page, "done")
    assert "Есть несохранённые изменения" in words(page)
    assert "добавлено правило «Срочные»" in words(page)
    assert load_version(gateway.records, "gkb1") is None
    answer = save(client, page)
    assert answer.status_code == 303
    version = load_version(gateway.records, "gkb1")
    assert (version.number, version.author, version.comment) == (1, "ivanova", "зачем")
    assert active_version(gateway.records, "gkb1", utc_now()) is None
    form = {"version": 1, "by": "ivanova"}
    assert client.post(f"{GKB1}/activate", data=form).status_code == 303
    assert active_version(gateway.records, "gkb1", utc_now()).number == 1
    assert "● Действует: версия 1" in words(client.get(f"{GKB1}/versions"))


def test_a_mistake_stands_beside_its_field_and_nothing_is_taken(client, saved):
    page = press(
        client, press(client, client.get(GKB1), "edit:ct"), "done", name="", windows="25:00"
    )
    assert page.status_code == 400
    assert 'id="wrong-name"><span class="mistake">▲ заполните это поле' in page.text
    assert 'id="wrong-windows"><span class="mistake">▲ нужно время суток' in page.text
    assert "Осталось исправить: 2" in words(page)
    mended = press(client, page, "done", name="КТ", windows="20:00-06:00")
    assert mended.status_code == 200
    assert "добавлено правило «КТ»: Если модальность равно CT" in words(mended)
    assert "время: 20:00-06:00" in words(mended)


OPERATORS = {
    "StudyDescription": ("contains", "фантом", "содержит фантом"),
    "StudyDate": ("between", None, "от 2026-01-01 до 2026-02-01"),
    "patient_age_years": ("≥", "18,5", "не меньше 18.5"),
    "has_report": ("is", "yes", "есть заключение да"),
    "PatientSex": ("equals", "F", "пол пациента равно F"),
    "AccessionNumber": ("missing", None, "номер направления отсутствует"),
    "already_at:archive": ("is", "no", "уже есть в archive нет"),
}


@pytest.mark.parametrize(("field", "asked"), OPERATORS.items(), ids=list(OPERATORS))
def test_each_kind_of_field_has_its_operators_and_its_input(client, saved, field, asked):
    op, value, sentence = asked
    page = press(client, press(client, client.get(GKB1), "edit:ct"), "look", when__0__field=field)
    page = press(client, page, "look", when__0__op=op)
    typed = {} if value is None else {"when__0__value": value}
    if op == "between":
        assert 'type="date"' in page.text
        typed = {"when__0__value__0": "2026-01-01", "when__0__value__1": "2026-02-01"}
    assert sentence in words(press(client, page, "look", **typed))


def test_groups_and_actions_are_added_moved_and_removed(client, saved):
    page = press(client, client.get(GKB1), "edit:ct")
    for act in ("add:when:group", "add:when.1:condition", "add:then:hold", "add:then:deidentify"):
        page = press(client, page, act)
    page = press(
        client, page, "up:then.2", when__1__join="none", when__1__0__value="SR", name="всё",
        when__1__1__field="PatientID", when__1__1__op="equals", when__1__1__value="7",
        then__1__reason="потом",
    )  # fmt: skip
    page = press(client, page, "up:then.1")
    told = words(page)
    assert "(неверно всё: модальности — есть хотя бы одно из: SR; номер пациента равно 7)" in told
    assert "то обезличить, отправить в «Больница archive», задержать: потом" in told
    page = press(client, press(client, page, "remove:when.1"), "remove:then.2")
    assert "Если модальность равно CT, то обезличить, отправить в «Больница archive»" in words(page)
    again = press(client, press(client, page, "done"), "edit:ct")
    assert "Если модальность равно CT, то обезличить, отправить в «Больница archive»" in words(
        again
    )


def test_rules_are_moved_dragged_switched_and_removed(client, gateway, saved):
    page = press(client, client.get(GKB1), "down:ct")
    assert "изменён порядок правил" not in words(page)  # nothing counts yet, all is new
    page = press(client, page, "look", **{"state:new": "active", "order": "ct new"})
    page = press(client, page, "remove:ct")
    save(client, page)
    assert [(r.rule_id, r.state) for r in load_version(gateway.records, "gkb1").rule_set.rules] == [
        ("new", "active")
    ]


def test_the_last_rule_is_edited_too(client, gateway, saved):
    page = press(client, client.get(GKB1), "edit:otherwise")
    bad = press(client, press(client, page, "remove:then.0"), "done")
    assert bad.status_code == 400
    page = press(client, page, "done", then__0__reason="ждём решения")
    assert "задержать: ждём решения" in words(page)


def test_two_authors_do_not_overwrite_each_other(client, gateway, saved):
    mine = press(client, client.get(GKB1), "remove:new")
    keep(gateway, RULES.replace("КТ в архив", "КТ"), based_on=1, author="petrov")
    answer = save(client, mine)
    assert answer.status_code == 412
    told = words(answer)
    assert "petrov сохранил(а) версию 2" in told
    assert "переименовано в «КТ»" in told
    assert "убрано правило «Новые»" in told
    assert load_version(gateway.records, "gkb1").number == 2
    again = client.post(GKB1, data=form_to(answer.text, "/gkb1"))
    assert save(client, again).status_code == 303
    assert load_version(gateway.records, "gkb1").number == 3


def test_if_match_guards_a_save(client, gateway, saved):
    page = client.get(GKB1)
    assert page.headers["ETag"] == '"gkb1-1"'
    inputs = form_to(press(client, page, "remove:new").text, "/gkb1").to_dict(flat=False)
    inputs |= {"by": "ivanova", "comment": "x"}
    refused = client.post(f"{GKB1}/save", data=inputs, headers={"If-Match": '"gkb1-9"'})
    assert refused.status_code == 412
    taken = client.post(f"{GKB1}/save", data=inputs, headers={"If-Match": '"gkb1-1"'})
    assert taken.status_code == 303


def test_yaml_comes_out_as_it_goes_in(client, gateway, saved):
    answer = client.get(f"{GKB1}/1.yaml")
    assert answer.data.decode() == RULES == format_rule_set(parse_rule_set(RULES)[0])
    changed = RULES.replace("value: CT", "value: MR").encode()
    page = client.post(f"{GKB1}/upload", data={"file": (io.BytesIO(changed), "rules.yaml")})
    assert "Файл прочитан, ошибок нет" in words(page)
    assert load_version(gateway.records, "gkb1").number == 1
    save(client, page)
    assert load_version(gateway.records, "gkb1").number == 2


def test_a_file_with_mistakes_changes_nothing_and_each_is_named_by_its_line(client, gateway, saved):
    wrong = RULES.replace("op: equals", "op: like")
    page = client.post(f"{GKB1}/upload", data={"file": (io.BytesIO(wrong.encode()), "r.yaml")})
    assert page.status_code == 400
    assert "строка 9 line 9: rules[1].when.all[1].op: для этого поля возможны" in words(page)
    moon = RULES.replace("target: archive\notherwise", "target: moon\notherwise").encode()
    page = client.post(f"{GKB1}/upload", data={"file": (io.BytesIO(moon), "r.yaml")})
    assert "строка 24 line 24: rules[2].then[1].target: такого получателя нет" in words(page)
    assert load_version(gateway.records, "gkb1").number == 1


HOSTILE = {
    "python objects": b"!!python/object/apply:os.system ['true']",
    "aliases": b"a: &a [1,1]\nb: [*a,*a]",
    "depth": b"[" * 5000,
    "no text": b"\xff\xfe\x00",
    "another owner": RULES.replace("site: gkb1", "site: zlat").encode(),
    "a regex bomb": RULES.replace("op: equals", "op: matches")
    .replace("Modality", "StudyDescription").replace("value: CT", "value: (a{500}){500}").encode(),
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_files_are_refused_with_the_field(client, gateway, content):
    page = client.post(f"{GKB1}/upload", data={"file": (io.BytesIO(content), "r.yaml")})
    assert page.status_code == 400
    assert "строка" in words(page) or "file" in words(page)
    assert load_version(gateway.records, "gkb1") is None


def test_words_of_people_are_told_as_words(client, gateway):
    keep(gateway, RULES.replace("КТ в архив", "'<script>x</script>{{7*7}}'"))
    page = client.get(GKB1)
    assert "<script>x" not in page.text
    assert "<bdi>&lt;script&gt;x&lt;/script&gt;{{7*7}}</bdi>" in page.text
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]


BROKEN = {
    "no document": ({"document": ""}, "document"),
    "deep json": ({"document": "[" * 100_000}, "document"),
    "another owner": ({"document": '{"site":"zlat","rules":[],"otherwise":[]}'}, "document"),
    "based on nothing": ({"based_on": "-1"}, "based_on"),
    "state": ({"state:ct": "on"}, "state"),
    "order": ({"order": "ct"}, "order"),
    "act": ({"act": "explode"}, "act"),
    "unknown rule": ({"act": "up:nobody"}, ""),
    "days": ({"act": "replay", "days": "0"}, "days"),
}


@pytest.mark.parametrize(("typed", "field"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_form_is_refused_with_its_field(client, saved, typed, field):
    inputs = form_to(client.get(GKB1).text, "/gkb1").to_dict(flat=False)
    answer = client.post(GKB1, data=inputs | {"act": "look"} | typed)
    assert answer.status_code in (400, 404)
    assert field in words(answer)


@pytest.mark.parametrize("act", ["remove:when.9", "up:when", "add:there:condition", "add:then:fly"])
def test_a_button_of_no_place_is_refused(client, saved, act):
    page = press(client, client.get(GKB1), "edit:ct")
    assert press(client, page, act).status_code == 400


def test_an_activation_waits_for_a_second_person_and_a_rollback_is_one_click(
    client, gateway, saved
):
    client.post(f"{GKB1}/activate", data={"version": 1, "by": "ivanova"})
    keep(gateway, RULES.replace("КТ в архив", "КТ"), based_on=1)
    client.post(f"{GKB1}/activate", data={"version": 2, "by": "ivanova", "second_person": "yes"})
    page = client.get(f"{GKB1}/versions")
    assert "ждёт второго человека" in words(page)
    approval = form_to(page.text, "/approve").to_dict()
    own = client.post(f"{GKB1}/approve", data=approval | {"by": "ivanova"})
    assert own.status_code == 409
    assert "ваша же" in words(own)
    client.post(f"{GKB1}/approve", data=approval | {"by": "petrov"})
    assert active_version(gateway.records, "gkb1", utc_now()).number == 2
    client.post(f"{GKB1}/activate", data={"version": 1, "by": "petrov"})
    assert active_version(gateway.records, "gkb1", utc_now()).number == 1


def test_an_activation_at_a_time_is_in_the_hospitals_zone(client, gateway, saved):
    form = {"version": 1, "by": "ivanova", "starts_at": "2999-01-31T08:00"}
    client.post(f"{GKB1}/activate", data=form)
    (activation,) = load_activations(gateway.records, "gkb1")
    assert activation.starts_at.isoformat() == "2999-01-31T05:00:00+00:00"
    assert "Версия начнёт действовать" in words(client.get(f"{GKB1}/versions?done=planned"))
    past = client.post(f"{GKB1}/activate", data=form | {"starts_at": "2001-01-31T08:00"})
    assert (past.status_code, "время начала уже прошло" in words(past)) == (409, True)
    nonsense = client.post(f"{GKB1}/activate", data=form | {"starts_at": "завтра"})
    assert (nonsense.status_code, "starts_at" in words(nonsense)) == (400, True)
    assert client.post(f"{GKB1}/activate", data={**form, "by": ""}).status_code == 400


def test_a_study_of_the_index_is_tried_before_the_rules_count(client, gateway, saved):
    page = press(client, client.get(GKB1), "try-study", study="A1")
    told = words(page)
    assert "→ archive" in told or "→ Больница archive" in told
    assert "● модальность равно CT" in told
    assert load_activations(gateway.records, "gkb1") == []
    nobody = press(client, page, "try-study", study="A999")
    assert nobody.status_code == 400
    assert "такого исследования нет" in words(nobody)


def a_file(modality: str) -> io.BytesIO:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.SOPInstanceUID, dataset.StudyInstanceUID = "1.2.3.1.1", "1.2.3"
    dataset.SeriesInstanceUID, dataset.Modality = "1.2.3.1", modality
    dataset.PatientID = "секрет"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    made = io.BytesIO()
    dataset.save_as(made, enforce_file_format=True)
    return io.BytesIO(made.getvalue())


@pytest.mark.parametrize(
    ("modality", "said"), [("CT", "→ Больница archive"), ("MR", "■ ждёт человека")]
)
def test_dropped_files_are_tried(client, saved, modality, said):
    inputs = form_to(client.get(GKB1).text, "/gkb1").to_dict(flat=False)
    files = {"files": (a_file(modality), "IM1")}
    page = client.post(GKB1, data=inputs | {"act": "try-files"} | files)
    assert page.status_code == 200
    assert said in words(page)
    assert "секрет" not in page.text


def test_a_file_that_is_no_dicom_is_refused_beside_its_input(client, saved):
    inputs = form_to(client.get(GKB1).text, "/gkb1").to_dict(flat=False)
    files = {"files": (io.BytesIO(b"MZ" + bytes(900)), "viewer.exe")}
    page = client.post(GKB1, data=inputs | {"act": "try-files"} | files)
    assert page.status_code == 400
    assert "Нужны файлы DICOM" in words(page)


def test_a_replay_is_asked_for_seen_and_cancelled(client, saved):
    answer = press(client, client.get(GKB1), "replay", days="7")
    assert answer.status_code == 303
    page = client.get(answer.location)
    assert "ждёт очереди у keeper" in words(page)
    assert "data-live" in page.text
    client.post(f"{answer.location}/cancel")
    page = client.get(answer.location)
    assert "отменено" in words(page)
    assert client.get(f"{HOME}/zlat/replays/nobody").status_code == 404


@pytest.mark.parametrize("address", [f"{HOME}/nobody", f"{GKB1}/9.yaml", f"{GKB1}?version=9"])
def test_what_is_not_there_is_not_there(client, saved, address):
    assert client.get(address).status_code == 404


def test_a_form_of_another_page_is_refused(client, saved):
    inputs = form_to(client.get(GKB1).text, "/gkb1")
    client.environ_base["HTTP_ORIGIN"] = "http://evil.example"
    assert client.post(GKB1, data=inputs).status_code == 403


def activate_now(gateway: Gateway, text: str) -> None:
    now = utc_now()
    activate(gateway.records, "gkb1", keep(gateway, text), now, "ivanova", now)


def test_why_a_study_did_not_go_is_told_condition_by_condition(client, gateway):
    own = "    - {field: PatientID, op: equals, value: '77'}\n    - field: Modality\n"
    no_ct = RULES.replace("value: CT", "value: MR").replace("    - field: Modality\n", own)
    activate_now(gateway, no_ct)
    touch(gateway.records, f"{U}.1", 2, NOW)
    told = words(client.get(f"/console/studies/{U}.1/why?site=gkb1"))
    assert "■ ждёт человека held: нет правила" in told
    assert "○ модальность равно MR" in told
    assert "— неверно false [ct" in told
    assert "— верно true [скрыто · hidden]" in told, "a patient's number is not shown"
    assert "тогда: отправить в «Больница archive»" in told


def test_a_shadow_rule_tells_what_it_would_send_and_sends_nothing(client, gateway):
    activate_now(gateway, RULES.replace("2026-01-31", "2025-01-31").replace("CT", "MR"))
    told = words(press(client, client.get(GKB1), "try-study", study="A1"))
    assert "⇢ Больница archive" in told
    assert "проба, не отправляется · shadow" in told
    assert "■ ждёт человека" in told
    assert "→ Больница archive" not in told


def test_a_replay_tells_hits_gains_losses_and_gigabytes_a_day(client, gateway, saved):
    answer = press(client, client.get(GKB1), "replay", days="10")
    row = take_replay(gateway.records, utc_now())
    tally = Tally(hits=71, gains=12, losses=3, size_bytes=250 * 10**9, unsized=2)
    tally.sample.append(Sampled("gkb1", f"{U}.1", date(2026, 1, 1), "gain"))
    result = Replayed(10, studies=89, sends={"archive": tally})
    end_replay(gateway.records, row.replay_id, DONE, asdict(result) | {"beyond": {}})
    told = words(client.get(answer.location))
    assert "→ Больница archive Hospital archive 71 +12 −3 25 ГБ" in told
    assert "+ 01.01.2026" in told
    assert "● готово" in told


def test_yaml_is_not_fetched_again_while_it_is_the_same_and_its_etag_guards_a_save(
    client, gateway, saved
):
    etag = client.get(f"{GKB1}/1.yaml").headers["ETag"]
    assert client.get(f"{GKB1}/1.yaml", headers={"If-None-Match": etag}).status_code == 304
    page = press(client, client.get(GKB1), "remove:new")
    inputs = form_to(page.text, "/gkb1").to_dict(flat=False) | {"by": "ivanova", "comment": "x"}
    keep(gateway, RULES.replace("КТ в архив", "КТ"), based_on=1)
    late = client.post(f"{GKB1}/save", data=inputs, headers={"If-Match": etag})
    assert late.status_code == 412
    assert load_version(gateway.records, "gkb1").number == 2


def test_a_refusal_is_marked_so_that_the_script_keeps_what_was_typed(client, saved):
    inputs = form_to(client.get(GKB1).text, "/gkb1")
    client.environ_base["HTTP_ORIGIN"] = "http://evil.example"
    assert "data-refusal" in client.post(GKB1, data=inputs).text
