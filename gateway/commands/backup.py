"""`gateway backup` and `gateway restore`: one archive with all that cannot be made anew.

The database, the lines of the audit that are not in it yet, region.toml with the secrets beside it,
and the gateway's key. Not: images (they are the hospitals'), Redis (a doorbell), environment
variables. Whoever has an archive can read all of it, so it is for its owner alone (0600).
"""

import hashlib
import shutil
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import click
import orjson

from gateway.clock import utc_now
from gateway.commands.opening import load_settings_or_end, region_option
from gateway.commands.recorded import tell_done
from gateway.errors import GatewayError, SettingsError
from gateway.records.copying import check_copy, is_empty, put_back, save_copy
from gateway.records.schema import known_migrations
from gateway.region_file import load_region
from gateway.settings import Settings

CONTENTS = "contents.json"
DATABASE, KEY, REGION = "database", "gateway.key", "region/region.toml"
FORM = 1
BLOCK = 2**20


class Broken(Exception):
    """The archive is no whole backup; the words say why."""


@click.command()
@region_option
@click.argument("archive", type=click.Path(dir_okay=False, path_type=Path))
def backup(region: Path | None, archive: Path) -> None:
    """Write database, audit, region.toml, secrets and key into ARCHIVE; the gateway goes on."""
    settings = load_settings_or_end(region=region)
    if archive.exists():
        raise click.ClickException(f"{archive}: уже есть, назовите другой / is there, name another")
    try:
        load_region(settings.region)
        with tempfile.TemporaryDirectory(
            dir=archive.absolute().parent, prefix=".backup-"
        ) as folder:
            made = _gather(settings, Path(folder))
            made.chmod(0o600)
            made.rename(archive)
    except (GatewayError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{archive}: {archive.stat().st_size} bytes")
    for left in _left_out(settings.region):
        click.echo(f"не в архиве, храните сами / not in it, keep it yourself: {left}", err=True)


def _gather(settings: Settings, folder: Path) -> Path:
    # The audit's lines first: one that moves into the database meanwhile is then in both, and is
    # known again by its id.
    found: dict[str, Path] = {}
    for line_file in sorted((settings.state_dir / "audit").glob("*")):
        if line_file.is_file():
            found[f"audit/{line_file.name}"] = Path(
                shutil.copyfile(line_file, folder / f"audit-{line_file.name}")
            )
    kind = save_copy(settings.database, folder / DATABASE)
    found[DATABASE] = folder / DATABASE
    if settings.keyring_file.exists():
        found[KEY] = settings.keyring_file
    found[REGION] = settings.region
    beside = settings.region.absolute().parent
    for file in _named_files(settings.region):
        if file.is_relative_to(beside):
            found[f"region/{file.relative_to(beside)}"] = file
    contents = {
        "form": FORM,
        "made_at": utc_now().isoformat(timespec="seconds"),
        "database": kind,
        "migrations": known_migrations(),
        "files": {name: _digest(file) for name, file in found.items()},
    }
    (folder / CONTENTS).write_bytes(orjson.dumps(contents, option=orjson.OPT_INDENT_2))
    made = folder / "archive"
    with tarfile.open(made, "w:gz") as tar:
        tar.add(folder / CONTENTS, CONTENTS)
        for name, file in found.items():
            tar.add(file.resolve(), name)
    return made


def _named_files(region: Path) -> list[Path]:
    """What region.toml names by keys that end in _file and that is there."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if key.endswith("_file") and isinstance(inner, str):
                    yield inner
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)

    named = walk(tomllib.loads(region.read_text(encoding="utf-8")))
    files = {(region.absolute().parent / name) for name in named}
    return sorted(file for file in files if file.is_file())


def _left_out(region: Path) -> list[Path]:
    beside = region.absolute().parent
    return [file for file in _named_files(region) if not file.is_relative_to(beside)]


@click.command()
@region_option
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Also where there is a database, key or region.toml.")
def restore(region: Path | None, archive: Path, replace: bool) -> None:
    """Put back what `gateway backup` wrote. Stop the gateway first.

    All of it is looked at before anything is changed; one that is not whole changes nothing.
    """
    settings = load_settings_or_end(region=region)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=settings.state_dir, prefix=".restore-") as folder:
            contents = _unpack(archive, Path(folder))
            _check(settings, contents, Path(folder), replace)
            _put(settings, contents["files"], Path(folder))
        tell_done("restore", settings)
    except (Broken, GatewayError, OSError) as error:
        words = "ничего не изменено / nothing was changed"
        raise click.ClickException(f"{archive}: {error}; {words}") from error
    click.echo(f"{archive}: {contents['made_at']}, восстановлено / restored")


def _unpack(archive: Path, folder: Path) -> dict[str, Any]:
    """Every file of the archive, as its contents say; raises Broken."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")
        contents: dict[str, Any] = orjson.loads((folder / CONTENTS).read_bytes())
        files = dict(contents["files"])
        there = {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}
        if contents["form"] != FORM or there != {CONTENTS, *files} or DATABASE not in files:
            raise Broken("это не архив шлюза / it is no backup of a gateway")
        for name, digest in files.items():
            if _digest(folder / name) != digest:
                raise Broken(f"повреждён / damaged: {name}")
    except (tarfile.TarError, EOFError, OSError, KeyError, TypeError, ValueError) as error:
        raise Broken("не читается целиком / cannot be read to its end") from error
    return contents


def _check(settings: Settings, contents: Mapping[str, Any], folder: Path, replace: bool) -> None:
    kind = "sqlite" if settings.database.startswith("sqlite") else "postgresql"
    if contents["database"] != kind:
        raise Broken(f"база / its database: {contents['database']}, GATEWAY_DATABASE_URL: {kind}")
    if not set(contents["migrations"]) <= set(known_migrations()):
        raise Broken("он от более нового шлюза / it is of a newer gateway")
    check_copy(folder / DATABASE, kind)
    try:
        load_region(folder / REGION)
    except SettingsError as error:
        click.echo(f"region.toml: {error}", err=True)  # files that stand elsewhere, variables
    taken = [str(t) for _, t in _targets(settings, contents["files"]) if t.exists()]
    if not is_empty(settings.database):
        taken.append("database")
    if taken and not replace:
        raise Broken(f"уже есть / is there already (--replace): {', '.join(sorted(taken))}")


def _targets(settings: Settings, files: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    beside = settings.region.absolute().parent
    for name in files:
        path = PurePosixPath(name)
        if name == KEY:
            yield name, settings.keyring_file
        elif name == REGION:
            yield name, settings.region
        elif path.parts[0] == "region":
            yield name, beside.joinpath(*path.parts[1:])
        elif path.parts[0] == "audit":
            yield name, settings.state_dir / "audit" / path.name


def _put(settings: Settings, files: Mapping[str, str], folder: Path) -> None:
    """First all copies beside their places, then the database, then only names change."""
    ready = []
    for name, target in _targets(settings, files):
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = target.with_name(f".{target.name}.restored")
        shutil.copyfile(folder / name, beside)
        beside.chmod(0o600)
        ready.append((beside, target))
    put_back(settings.database, folder / DATABASE)
    for beside, target in ready:
        beside.replace(target)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
