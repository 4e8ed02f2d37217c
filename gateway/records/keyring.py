"""The gateway's own key: a file beside the database, never in it. What is sealed with it in the
database is of no use without the file. All hosts of one gateway have the same file.
"""

import base64
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import RecordsRefused, SettingsError

KEY_BYTES = 32


class Keyring:
    """Keys for each purpose, derived from the one in the file (RFC 5869)."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._fernet = Fernet(base64.urlsafe_b64encode(self.derived("sealing")))

    def __repr__(self) -> str:
        return "Keyring(***)"

    def derived(self, purpose: str) -> bytes:
        """32 bytes that tell nothing of those for another purpose."""
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(self._key)

    def seal(self, secret: str) -> str:
        """Encrypted and signed, for a column of text."""
        return self._fernet.encrypt(secret.encode()).decode("ascii")

    def unseal(self, sealed: str) -> str:
        """raises RecordsRefused if it was sealed with another key."""
        try:
            return self._fernet.decrypt(sealed.encode("ascii")).decode()
        except InvalidToken as error:
            raise RecordsRefused("a secret in the database is sealed with another key") from error


def load_keyring(path: Path) -> Keyring:
    """raises SettingsError if the file is missing, open to others or no key"""
    try:
        mode = path.stat().st_mode
        key = base64.urlsafe_b64decode(path.read_bytes().strip())
    except FileNotFoundError:
        wrong = f"{path}: there is no key yet; `gateway init` makes it"
        raise SettingsError([wrong]) from None
    except (OSError, ValueError) as error:
        raise SettingsError([f"{path}: cannot be read as a key ({error})"]) from error
    if mode & 0o077:
        raise SettingsError([f"{path}: others may read it; chmod 600 {path}"])
    if len(key) != KEY_BYTES:
        raise SettingsError([f"{path}: is no key of `gateway init`"])
    return Keyring(key)


def make_keyring(path: Path) -> Keyring:
    """Make the file, for its owner alone; one that is there already is kept."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return load_keyring(path)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.urlsafe_b64encode(os.urandom(KEY_BYTES)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return load_keyring(path)
