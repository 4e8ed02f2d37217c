"""`gateway init`, `gateway users ...` and `gateway clients ...`: who may sign in, and as what."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import click
import orjson

from gateway.clock import utc_now
from gateway.commands.opening import (
    json_option,
    open_database_quietly,
    region_option,
)
from gateway.errors import AccountRefused, SettingsError
from gateway.model.access import ACCOUNT_ROLES, Post, Role, parse_post
from gateway.model.authorization import check_redirect_uri
from gateway.model.credentials import (
    ONE_TIME_HOURS,
    hash_password,
    new_one_time_password,
)
from gateway.model.tokens import new_key
from gateway.records import accounts, clients
from gateway.records.engine import Records
from gateway.records.keyring import load_keyring, make_keyring
from gateway.records.recovery import save_recovery_codes
from gateway.records.sessions import end_sessions
from gateway.region_file import load_region
from gateway.settings import Settings

REFUSALS = {
    "unknown": "нет такой учётной записи или программы / there is no such account or client",
    "login": "имя для входа занято или не годится / the login is taken or cannot be one",
    "posts": f"нужна роль / a role is needed: {', '.join(ACCOUNT_ROLES)}",
    "outside": "входит через общую службу, пароля здесь нет / signs in with another issuer",
    "ministry": "у сотрудника министерства других ролей нет / ministry stands alone",
}
role_option = click.option(
    "--role", "roles", multiple=True, required=True,
    help="doctor@SITE, hospital_it@SITE, regional_admin, ministry or auditor; may be repeated.",
)  # fmt: skip


def _done(act: Callable[[], object]) -> None:
    try:
        act()
    except AccountRefused as error:
        raise click.ClickException(REFUSALS[error.why]) from error


def _posts(settings: Settings, written: Sequence[str]) -> list[Post]:
    """raises ClickException for a role that is none or a site that region.toml does not name."""
    try:
        found = [parse_post(one) for one in written]
        known = {site.site_id for site in load_region(settings.region).sites} | {"*"}
    except (ValueError, SettingsError) as error:
        raise click.ClickException(str(error)) from error
    for post in found:
        if post.site_id not in known:
            raise click.ClickException(f"{post}: region.toml has no such site")
    return found


def _tell_password(login: str, password: str) -> None:
    click.echo(f"{login}: одноразовый пароль / one-time password: {password}")
    click.echo(
        f"действует {ONE_TIME_HOURS} ч, при входе его меняют / "
        f"good for {ONE_TIME_HOURS} h, to be changed at the first sign-in"
    )


def _add(records: Records, login: str, name: str, posts: Sequence[Post]) -> str:
    password, now = new_one_time_password(), utc_now()
    until = now + timedelta(hours=ONE_TIME_HOURS)
    accounts.add_account(records, login, name, posts, hash_password(password), until, now)
    return password


@click.command()
@region_option
@click.option("--login", default="admin", show_default=True, help="Of the first administrator.")
def init(region: Path | None, login: str) -> None:
    """Make the gateway's key, the key of its tokens and the first administrator.

    What is there already stays as it is.
    """
    settings, records = open_database_quietly(region)
    try:
        keyring = make_keyring(settings.keyring_file)
    except (SettingsError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{settings.keyring_file}: ключ шлюза / the gateway's key")
    if not clients.load_signing_keys(records):
        kid, private, public = new_key()
        clients.save_signing_key(records, kid, keyring.seal(private), public, utc_now())
        click.echo(f"{kid}: ключ подписи / signing key, ES256")
    if accounts.load_accounts(records):
        click.echo("учётные записи уже есть / there are accounts already: gateway users list")
        return
    password = ""

    def add() -> None:
        nonlocal password
        password = _add(records, login, "", [Post(Role.REGIONAL_ADMIN)])

    _done(add)
    _tell_password(login, password)


@click.group()
def users() -> None:
    """People who may sign in."""


@users.command("add")
@region_option
@click.argument("login")
@click.option("--name", default="", help="As colleagues know the person.")
@role_option
def add_user(region: Path | None, login: str, name: str, roles: Sequence[str]) -> None:
    """A new account with a one-time password."""
    settings, records = open_database_quietly(region)
    posts = _posts(settings, roles)
    _done(lambda: _tell_password(login, _add(records, login, name, posts)))


@users.command("list")
@region_option
@json_option
def list_users(region: Path | None, as_json: bool) -> None:
    """Accounts with their roles."""
    _, records = open_database_quietly(region)
    found = accounts.load_accounts(records)
    if as_json:
        told = [
            {"login": one.login, "name": one.name, "roles": [str(post) for post in one.posts],
             "locked": one.locked_at is not None, "one_time": one.one_time_until is not None,
             "authenticator": one.has_totp}
            for one in found
        ]  # fmt: skip
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        return
    if not found:
        click.echo("никого нет: gateway users add / nobody: gateway users add", err=True)
    for one in found:
        marks = [", ".join(map(str, one.posts))]
        marks += ["▲ закрыта / locked"] if one.locked_at else []
        marks += ["одноразовый пароль / one-time password"] if one.one_time_until else []
        marks += [] if one.has_totp else ["без кода / no authenticator"]
        click.echo(f"{one.login}  {one.name}  " + "; ".join(marks))


@users.command()
@region_option
@click.argument("login")
@click.option("--open", "opens", is_flag=True, help="Open it again.")
def lock(region: Path | None, login: str, opens: bool) -> None:
    """Shut an account: it is out within five seconds."""
    _, records = open_database_quietly(region)
    now = utc_now()

    def act() -> None:
        found = accounts.find_account(records, login)
        accounts.save_lock(records, found.account_id, None if opens else now)
        end_sessions(records, found.account_id, now)
        click.echo(f"{found.login}: " + ("открыта / open" if opens else "закрыта / locked"))

    _done(act)


@users.command()
@region_option
@click.argument("login")
def reset(region: Path | None, login: str) -> None:
    """A new one-time password; authenticator and recovery codes are forgotten, sessions end."""
    _, records = open_database_quietly(region)
    now, password = utc_now(), new_one_time_password()

    def act() -> None:
        found = accounts.find_account(records, login)
        until = now + timedelta(hours=ONE_TIME_HOURS)
        accounts.save_password(records, found.account_id, hash_password(password), until)
        accounts.save_totp(records, found.account_id, "", 0)
        save_recovery_codes(records, found.account_id, [])
        end_sessions(records, found.account_id, now)
        _tell_password(found.login, password)

    _done(act)


@users.command("roles")
@region_option
@click.argument("login")
@role_option
def change_roles(region: Path | None, login: str, roles: Sequence[str]) -> None:
    """Give an account these roles and no others; its sessions end."""
    settings, records = open_database_quietly(region)
    posts = _posts(settings, roles)

    def act() -> None:
        found = accounts.find_account(records, login)
        accounts.save_posts(records, found.account_id, posts)
        end_sessions(records, found.account_id, utc_now())
        click.echo(f"{found.login}: {', '.join(map(str, posts))}")

    _done(act)


@click.group("clients")
def clients_group() -> None:
    """Programs that get tokens."""


@clients_group.command("add")
@region_option
@click.argument("name")
@click.option("--site", help="Where it searches, retrieves and stores; * anywhere.")
@click.option(
    "--redirect", "redirects", multiple=True,
    help="Of a viewer that people let in: where their codes go. May be repeated.",
)  # fmt: skip
def add_client(region: Path | None, name: str, site: str | None, redirects: Sequence[str]) -> None:
    """A program with its own id and secret (OAuth 2 client credentials), or with --redirect a
    viewer that acts for who lets it in (authorization code with PKCE, no secret).
    """
    if (site is None) is not bool(redirects):
        raise click.UsageError("--site, or --redirect / либо --site, либо --redirect")
    settings, records = open_database_quietly(region)
    if site is None:
        for uri in redirects:
            try:
                check_redirect_uri(uri)
            except ValueError as error:
                raise click.ClickException(f"{uri}: {error}") from error
        click.echo(f"client_id={clients.add_viewer(records, name, redirects, utc_now())}")
        return
    (post,) = _posts(settings, [f"{Role.SERVICE}@{site}"])
    client_id, secret = clients.add_client(records, name, post.site_id, utc_now())
    click.echo(f"client_id={client_id}\nclient_secret={secret}")


@clients_group.command("list")
@region_option
@json_option
def list_clients(region: Path | None, as_json: bool) -> None:
    """Programs and where they may act."""
    _, records = open_database_quietly(region)
    found = clients.load_clients(records)
    if as_json:
        told = [
            {"client_id": one.client_id, "name": one.name, "roles": [str(p) for p in one.posts],
             "redirects": one.redirect_uris, "revoked": one.revoked_at is not None}
            for one in found
        ]  # fmt: skip
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        return
    if not found:
        click.echo("программ нет: gateway clients add / none: gateway clients add", err=True)
    for one in found:
        may = ", ".join([*map(str, one.posts), *one.redirect_uris])
        revoked = "; ▲ отозвана / revoked" if one.revoked_at else ""
        click.echo(f"{one.client_id}  {one.name}  {may}{revoked}")


@clients_group.command()
@region_option
@click.argument("client_id")
def revoke(region: Path | None, client_id: str) -> None:
    """Its tokens are refused within five seconds, and it gets no other."""
    _, records = open_database_quietly(region)
    _done(lambda: clients.revoke_client(records, client_id, utc_now()))
    click.echo(f"{client_id}: отозвана / revoked")


@click.group("keys")
def keys() -> None:
    """Keys that tokens are signed with."""


@keys.command("new")
@region_option
def new_signing_key(region: Path | None) -> None:
    """Sign with a new key from now on; tokens of the old one stay good for their hour."""
    settings, records = open_database_quietly(region)
    try:
        keyring = load_keyring(settings.keyring_file)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    kid, private, public = new_key()
    clients.save_signing_key(records, kid, keyring.seal(private), public, utc_now())
    click.echo(f"{kid}: ключ подписи / signing key, ES256")
