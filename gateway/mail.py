"""Sends mails through the mail server of GATEWAY_SMTP_HOST, one at a time, within a deadline.

What is sent, to whom and how often it is tried again stands elsewhere (routing/tell.py).
"""

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from gateway.clock import utc_now
from gateway.errors import MailRefused, MailUnavailable
from gateway.settings import Settings

ANSWER_S = 10.0


@dataclass(frozen=True)
class Mail:
    """message_id  the same for each try, so that a mail which came twice is told apart."""

    message_id: str
    to: Sequence[str]
    subject: str
    text: str


def send_mail(settings: Settings, mail: Mail) -> tuple[str, ...]:
    """Hand one mail to the mail server.

    returns  addresses that it does not take, where it takes others
    raises   MailUnavailable: it does not answer, or not now; MailRefused: it takes it for nobody,
             or our password or its certificate is wrong. Trying again later is right for both
    """
    try:
        with _connect(settings) as server:
            if settings.smtp_user:
                server.login(settings.smtp_user, _password(settings))
            refused = server.send_message(_written(settings, mail), settings.mail_from, mail.to)
    except smtplib.SMTPRecipientsRefused as error:
        raise MailRefused("recipients", ", ".join(sorted(error.recipients))) from error
    except smtplib.SMTPAuthenticationError as error:
        raise MailRefused("password", str(error.smtp_code)) from error
    except smtplib.SMTPNotSupportedError as error:
        raise MailRefused("unsupported", type(error).__name__) from error
    except smtplib.SMTPResponseException as error:
        kind = MailRefused if error.smtp_code >= 500 else MailUnavailable
        raise kind("answer", str(error.smtp_code)) from error
    except ssl.SSLCertVerificationError as error:
        raise MailRefused("certificate", error.verify_message) from error
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise MailUnavailable("silent", type(error).__name__) from error
    return tuple(sorted(refused))


def _connect(settings: Settings) -> smtplib.SMTP:
    """TLS from the beginning or by STARTTLS, and never less than what is set."""
    place = (settings.smtp_host, settings.smtp_port)
    if settings.smtp_security == "none":
        return smtplib.SMTP(*place, timeout=ANSWER_S)
    context = ssl.create_default_context(cafile=settings.smtp_ca_file or None)
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(*place, timeout=ANSWER_S, context=context)
    server = smtplib.SMTP(*place, timeout=ANSWER_S)
    try:
        server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


def _password(settings: Settings) -> str:
    """Read each time: a changed password needs no restart."""
    return Path(settings.smtp_password_file).read_text(encoding="utf-8").strip()


def _written(settings: Settings, mail: Mail) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = settings.mail_from
    message["To"] = ", ".join(mail.to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(utc_now())
    message["Message-ID"] = f"<{mail.message_id}@{settings.mail_from.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine answers
    message.set_content(mail.text)
    return message
