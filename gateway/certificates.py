"""Certificates in files: whether they can be used, and when they end."""

import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509

from gateway.errors import SettingsError
from gateway.settings import Settings


def load_own_certificate(settings: Settings) -> datetime:
    """When the certificate that we answer with ends.

    raises  SettingsError if it cannot be used: what is wrong and what to do
    """
    certificate, key = Path(settings.tls_certificate_file), Path(settings.tls_key_file)
    try:
        if key.stat().st_mode & 0o007:
            raise SettingsError([f"GATEWAY_TLS_KEY_FILE: all may read it; chmod o-rwx {key}"])
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        return ends_at(certificate.read_bytes())
    except (OSError, ValueError) as error:  # also every ssl.SSLError
        raise SettingsError(
            [f"GATEWAY_TLS_CERTIFICATE_FILE: cannot be used with its key ({error})"]
        ) from error


def ends_at(pem: bytes) -> datetime:
    """The last moment of the first certificate of a file; raises ValueError if there is none."""
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc


def der_ends_at(der: bytes) -> datetime:
    """The same of a certificate as a server shows it."""
    return x509.load_der_x509_certificate(der).not_valid_after_utc
