"""README tells the truth: every setting is listed, every command in it can be run."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import click
import pytest

from gateway import server
from gateway.cli import main
from gateway.demo.servers import NGINX_FOLDERS, free_port
from gateway.dicom import media_types, query, uids
from gateway.model import tokens
from gateway.model.access import describe_table
from gateway.model.destinations import KEYS, Limits
from gateway.model.routing.document import parse_rule_set
from gateway.model.routing.fields import COMPUTED, KIND_OF_VR, Kind
from gateway.model.routing.operators import operators_of
from gateway.model.sites import Site, Timeouts
from gateway.orthanc import dicomweb, heads
from gateway.settings import Settings, load_settings, meanings
from gateway.web import limits, opening, sign_in, stow
from gateway.web.console import frame
from tests import forked
from tests.authority import Authority

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def settings_table() -> str:
    """What stands between the two marks of README."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    rows += [f"| `{n}` | {f'`{d}`' if d else '–'} | {m} |" for n, (d, m) in meanings().items()]
    return "\n".join(rows)


def operators_table() -> str:
    kinds: dict[Kind, list[str]] = {}
    for vr, kind in KIND_OF_VR.items():
        kinds.setdefault(kind, []).append(vr)
    head = ["| поля · fields | операторы · operators |", "|---|---|"]
    rows = [f"| {' '.join(vrs)} | {_ticked(operators_of(kind))} |" for kind, vrs in kinds.items()]
    flags = [name for name, (kind, _) in COMPUTED.items() if kind == "flag"]
    return "\n".join([*head, *rows, f"| {_ticked(flags)} | {_ticked(operators_of('flag'))} |"])


def _ticked(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def limits_table() -> str:
    """Every limit as a table of Markdown, for README."""
    rows = "\n".join(f"| {what} | {value} | {answer} |" for what, value, answer in _limits())
    return f"| предел · limit | сколько · how much | иначе · otherwise |\n|---|---|---|\n{rows}"


def _limits() -> Iterator[tuple[str, str, str]]:
    for rate in limits.RATES:
        who = "" if rate.by_address else " на человека или программу · of one person or program"
        yield f"{rate.ru} · {rate.en}{who}", f"{rate.most} / мин · min", "429"
    yield (
        "загрузок сразу, на процесс · downloads at once, per process",
        (f"{limits.DOWNLOADS_AT_ONCE}"),
        "429",
    )
    yield "строка запроса · request line", "4094", "414"
    yield "заголовок; их число · a header; their number", "8190; 100", "431"
    yield (
        "заголовок запроса, TLS · head of a request, TLS",
        f"{server.HEAD_S:.0f} s",
        "конец связи · cut",
    )
    yield (
        "тишина в теле или чтении · stall in a body or a reader",
        f"{server.STALL_S:.0f} s",
        ("408 или конец связи · or cut"),
    )
    yield "UID", f"{uids.MAX_LENGTH}", "400"
    yield "`limit`", f"1–{Settings.max_results} (`GATEWAY_MAX_RESULTS`)", "400"
    yield "`offset`", f"{query.MAX_OFFSET}", "400"
    yield (
        "ключей поиска; `includefield` · keys of a search",
        (f"{query.MAX_KEYS}; {query.MAX_INCLUDED}"),
        "400",
    )
    yield "кадров в списке · frames in a list", f"{opening.FRAMES_LIMIT}", "400"
    yield (
        "`Accept`: длина; вариантов · length; choices",
        (f"{media_types.MAX_ACCEPT}; {media_types.MAX_RANGES}"),
        "400",
    )
    yield "сохранение · a store", f"{Settings.max_store_bytes} (`GATEWAY_MAX_STORE_BYTES`)", "413"
    yield "частей сохранения · parts of a store", f"{stow.MOST_PARTS}", "413"
    yield (
        "форма входа; консоли · a form of sign-in; of the console",
        (f"{sign_in.FORM_LIMIT}; {frame.FORM_LIMIT}"),
        "413",
    )
    yield (
        "токен: длина; срок · a token: length; life",
        (f"{tokens.MOST_CHARACTERS}; {tokens.LONGEST_S} s"),
        "401",
    )
    yield (
        "ответ площадки на поиск · a site's answer to a search",
        (f"{dicomweb.SEARCH_LIMIT_BYTES}"),
        "502",
    )
    yield "заголовков в ответе площадки · headers of a site's answer", f"{heads.LINES_LIMIT}", "502"


def rules_example() -> str:
    (document,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    return document


def commands(language: str = "sh") -> list[str]:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def test_every_setting_is_listed_as_it_is() -> None:
    between = README.split("<!-- settings -->")[1].split("<!-- /settings -->")[0]
    assert between.strip() == settings_table()


def test_every_limit_is_listed_as_it_is() -> None:
    between = README.split("<!-- limits -->")[1].split("<!-- /limits -->")[0]
    assert between.strip() == limits_table()


def test_what_each_role_may_do_is_listed_as_it_is() -> None:
    between = README.split("<!-- access -->")[1].split("<!-- /access -->")[0]
    assert between.strip() == describe_table()


def test_the_operators_and_computed_fields_of_rules_are_listed() -> None:
    operators = README.split("<!-- operators -->")[1].split("<!-- /operators -->")[0]
    assert operators.strip() == operators_table()
    computed = README.split("<!-- computed -->")[1].split("<!-- /computed -->")[0]
    assert computed == _ticked(COMPUTED)


def test_the_example_of_a_rule_is_right() -> None:
    found, mistakes = parse_rule_set(rules_example())
    assert mistakes == ()
    assert found is not None
    assert [rule.rule_id for rule in found.rules] == ["ct-mr"]


def test_every_key_of_a_site_is_listed() -> None:
    listed = set(re.findall(r"`([a-z_]+)`", README.split("Keys of a site")[1].split("\n## ")[0]))
    names = set(Site.__dataclass_fields__) | set(Timeouts.__dataclass_fields__)
    names -= {"site_id", "password", "event_key", "timeouts", "guarded"}
    assert names - listed == set()


def test_every_key_of_a_destination_is_listed() -> None:
    chapter = README.split("Keys of a destination")[1].split("\n## ")[0]
    listed = set(re.findall(r"`(?:limits\.)?([a-z_]+)`", chapter))
    assert (KEYS | set(Limits.__dataclass_fields__)) - listed - {"limits"} == set()


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("make ")])
def test_make_knows_the_target(command: str) -> None:
    done = subprocess.run(
        ["make", "-n", *shlex.split(command)[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_of_a_region_is_right(tmp_path: Path) -> None:
    document, identity, destination, people = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (egress,) = re.findall(r"egress = \[.*?\]", destination)
    egress = egress.replace("]", ', "chat.region.example"]')
    document = document.replace("/etc/gateway/gkb1-ca.pem", str(Authority(tmp_path).file))
    document = document.replace("[region]", f"[region]\n{egress}") + destination + people + identity
    (tmp_path / "region.toml").write_text(document, encoding="utf-8")
    (tmp_path / "secrets").mkdir()
    for name in ("gkb1", "federal", "federal-pseudonyms", "webhook"):
        (tmp_path / "secrets" / name).write_text("a password of some length")
    done = run_gateway(["check-config", "--region", "region.toml"], tmp_path)
    assert (done.returncode, done.stdout) == (0, "region.toml: 1 sites, no mistakes\n")


def run_gateway(
    words: list[str], folder: Path, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return forked.run_gateway(words, folder, os.environ | dict(environ or {}), 60)


def commands_of_the_text() -> list[str]:
    """What stands in the sentences, `gateway a|b X` as two commands."""
    found = re.findall(r"`(gateway [^`]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))
    told = {" ".join(one.split()) for one in found}
    return sorted(
        one.replace(group, name)
        for one in told
        for group in re.findall(r"\S+\|\S+", one) or [" "]
        for name in group.split("|")
    )


@pytest.mark.parametrize("command", commands_of_the_text())
def test_a_command_in_a_sentence_is_one_that_there_is(command: str) -> None:
    words, here = shlex.split(command)[1:], main
    while isinstance(here, click.Group) and words and not words[0].startswith("-"):
        found = here.get_command(click.Context(here), words[0])
        assert found is not None, words
        here, words = found, words[1:]
    with suppress(click.MissingParameter):  # a sentence may leave out what it is about
        here.make_context(here.name, [*words])


def test_each_way_onto_a_network_is_one_that_starts() -> None:
    first, *ways = re.findall(r"```ini\n(.*?)```", README, re.DOTALL)
    assert len(ways) == 2
    for way in ["", *ways]:
        lines = (first + way).split()
        assert load_settings(dict(line.split("=", 1) for line in lines)).access == "login"


def blocks_with(word: str) -> list[str]:
    found = re.findall(r"```(?:text|ini)\n(.*?)```", README, re.DOTALL)
    return [block for block in found if word in block]


def settings_of(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.split())


def test_the_settings_for_keycloak_are_taken(tmp_path: Path) -> None:
    (block,), (first, *_) = blocks_with("GATEWAY_OIDC_ISSUER="), blocks_with("GATEWAY_PUBLIC_URL=")
    secret = tmp_path / "keycloak.secret"
    secret.write_text("a secret of some length")
    told = block.replace("/etc/gateway/keycloak.secret", str(secret))
    found = load_settings(settings_of(first) | settings_of(told))
    assert found.oidc_issuer == "https://id.region.example/realms/region"


@pytest.mark.real
def test_nginx_takes_what_is_written_for_it(tmp_path: Path) -> None:
    (first, *_), (block,) = blocks_with("GATEWAY_PUBLIC_URL="), blocks_with("gateway nginx-config")
    certificate, key = Authority(tmp_path).issue("nginx")
    (tmp_path / "region.toml").write_text(
        '[region]\nname_ru = "О"\nname_en = "R"\n[[site]]\nid = "gkb1"\nname_ru = "П"\n'
        'name_en = "F"\nurl = "http://127.0.0.1:8042"\n'
    )
    lines = block.replace("\\\n", " ")
    for said, meant in (
        ("443 ssl", f"127.0.0.1:{free_port()} ssl"),
        ("/etc/ssl/region/certificate.pem", str(certificate)),
        ("/etc/ssl/region/key.pem", str(key)),
        ("/etc/nginx/conf.d/gateway.conf", "gateway.conf"),
    ):
        assert said in lines
        lines = lines.replace(said, meant)
    command, test = lines.splitlines()
    assert test == "nginx -t && systemctl reload nginx"
    words = [*shlex.split(command)[1:], "--folder", str(tmp_path / "decisions")]
    environ = settings_of(first) | {"GATEWAY_STATE_DIR": str(tmp_path)}
    done = run_gateway(words, tmp_path, environ)
    assert (done.returncode, done.stderr) == (0, "")
    kept = " ".join(f'{kind}_temp_path "{tmp_path}/{kind}";' for kind in NGINX_FOLDERS)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ access_log off; {kept}"
        f" include {tmp_path}/gateway.conf; }}\n"
    )
    judged = subprocess.run(
        ["/usr/sbin/nginx", "-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (judged.returncode, judged.stderr) == (0, "")


def test_each_link_within_leads_to_a_chapter() -> None:
    heads = re.findall(r"^#{1,6} (.+)$", re.sub(r"```.*?```", "", README, flags=re.DOTALL), re.M)
    places = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
    linked = re.findall(r"\]\(#([^)]+)\)", README)
    assert len(linked) > 20
    assert [one for one in linked if one not in places] == []


def test_the_picture_is_there() -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert [name for name in pictures if not (ROOT / name).is_file()] == []
