"""Mails over TLS and with a password: to a real mail server, whose certificate its own CA made."""

import ssl
import subprocess
from dataclasses import replace

import pytest
from aiosmtpd.smtp import AuthResult
from structlog.testing import capture_logs

from gateway.clock import utc_now
from gateway.errors import MailRefused
from gateway.mail import Mail, send_mail
from gateway.model.delivery_words import REASONS
from gateway.orthanc.wire import Wire
from gateway.records.alarms import load_alarms, write_alarm
from gateway.records.notices import load_unsent
from gateway.routing.invariants import check_invariants
from gateway.routing.tell import tell
from gateway.settings import Settings
from tests.mailserver import Post, run_mail_server
from tests.routing.test_tell import DUTY, a_region

USER, PASSWORD, WRONG = "gateway", "secret-of-mail", "secret-of-yesterday"
MAIL = Mail("m1", ("duty@region.example",), "тревога", "получатель молчит")


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """(file of a CA, context of a server that it knows)"""
    folder = tmp_path_factory.mktemp("mail-tls")
    new = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout"
    steps = (
        f"{new} ca.key -x509 -days 2 -subj /CN=tests -out ca.pem",
        f"{new} server.key -subj /CN=mail -addext subjectAltName=IP:127.0.0.1 -out server.csr",
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
        " -copy_extensions copy -out server.pem",
    )
    for step in steps:
        subprocess.run(step.split(), cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return folder / "ca.pem", context


class Doorman:
    """Knows one password, and remembers which it was shown."""

    def __init__(self):
        self.shown: list[str] = []

    def __call__(self, server, session, envelope, mechanism, data):
        self.shown.append(data.password.decode())
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)


@pytest.fixture
def post():
    return Post()


@pytest.fixture
def doorman():
    return Doorman()


@pytest.fixture
def settings(tls, post, doorman, tmp_path):
    """Of a mail server that takes nothing without TLS and the right password."""
    ca_file, context = tls
    asks = {"tls_context": context, "require_starttls": True}
    password_file = tmp_path / "mail.password"
    password_file.write_text(PASSWORD + "\n")
    with run_mail_server(post, authenticator=doorman, auth_required=True, **asks) as port:
        yield Settings(
            smtp_host="127.0.0.1", smtp_port=port, smtp_security="starttls",
            smtp_user=USER, smtp_password_file=str(password_file), smtp_ca_file=str(ca_file),
            mail_from="gateway@region.example", public_url="https://images.region.example",
        )  # fmt: skip


def test_a_mail_goes_over_tls_with_the_password(settings, post, doorman):
    assert send_mail(settings, MAIL) == ()
    assert [mail["Subject"] for mail in post.mails] == ["тревога"]
    assert doorman.shown == [PASSWORD]


def test_a_server_of_an_unknown_authority_gets_neither_mail_nor_password(settings, post, doorman):
    with pytest.raises(MailRefused, match="certificate"):
        send_mail(replace(settings, smtp_ca_file=""), MAIL)
    assert (post.mails, doorman.shown) == ([], [])


def test_a_server_that_cannot_tls_gets_neither_mail_nor_password(settings, post, doorman):
    with run_mail_server(post, authenticator=doorman, auth_require_tls=False) as port:
        plain = replace(settings, smtp_port=port)
        with pytest.raises(MailRefused, match="unsupported"):
            send_mail(plain, MAIL)
    assert (post.mails, doorman.shown) == ([], [])


def test_a_wrong_password_is_an_alarm_until_it_is_right_and_never_told(
    records, settings, post, tmp_path
):
    region, wire = a_region(DUTY), Wire()
    (tmp_path / "mail.password").write_text(WRONG)
    with records.write() as connection:
        write_alarm(connection, "redis_away", "redis", {}, utc_now())
    with capture_logs() as logs:
        assert tell(records, region, settings, wire, utc_now()) == 0
    check_invariants(records, region, utc_now(), None)
    (alarm,) = (one for one in load_alarms(records) if one.kind == "notices_wait")
    assert (alarm.subject, alarm.facts["reason"]) == ("duty", "mail_password")
    assert "GATEWAY_SMTP_USER" in REASONS["mail_password"].ru
    told = f"{logs} {alarm} {load_unsent(records)}"
    assert "people are not told" in told
    assert not any(secret in told for secret in (WRONG, PASSWORD))

    (tmp_path / "mail.password").write_text(PASSWORD)  # no restart
    with records.write() as connection:
        connection.exec_driver_sql("UPDATE notice SET next_at = made_at")
    assert tell(records, region, settings, wire, utc_now()) == 1
    check_invariants(records, region, utc_now(), None)
    assert [one.kind for one in load_alarms(records)] == ["redis_away"]
    wire.close()
