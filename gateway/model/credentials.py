"""Passwords, codes of an authenticator and random secrets: made, judged, and how long to wait after
a wrong one. No I/O, but a password costs 64 MiB and some tenths of a second: the doors bound how
many are judged at once (trust.md E33).
"""

import hashlib
import hmac
import ipaddress
import secrets
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import BadRequest

SHORTEST, LONGEST = 12, 128
ONE_TIME_HOURS = 72
CODE_STEP_S = 30
RECOVERY_CODES, RECOVERY_DIGITS = 8, 20
ISSUER = "Regional Imaging Gateway"
_HASHER = PasswordHasher()  # argon2id, the second recommendation of RFC 9106 4
# No letters or digits that look alike: a one-time password is read out or copied by hand.
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"


def _hash_of_nobody() -> str:
    """Of the form and the cost of a real one, but of no password, and made for nothing: to hash
    one would keep each process, and each command, waiting at its start."""
    cost = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    salt, digest = (
        b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (_HASHER.salt_len, _HASHER.hash_len)
    )
    return f"$argon2id$v=19${cost}${salt}${digest}"


# What is judged when there is no such account, so that the answer takes as long (trust.md H88).
_OF_NOBODY = _hash_of_nobody()


def check_new_password(password: str, login: str) -> None:
    """raises BadRequest for one that is too short or too long, or that holds the login."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadRequest("password", f"has from {SHORTEST} to {LONGEST} characters")
    if login.casefold() in password.casefold() or len(set(password)) < 5:
        raise BadRequest("password", "holds the login or is one thing repeated")


def hash_password(password: str) -> str:
    return _HASHER.hash(password)


def is_password(hashed: str | None, password: str) -> bool:
    """Whether it is the password; takes as long where there is no account (hashed None)."""
    try:
        return _HASHER.verify(hashed or _OF_NOBODY, password[:LONGEST]) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def new_one_time_password() -> str:
    """About 79 bits, in groups of four."""
    letters = "".join(secrets.choice(_READABLE) for _ in range(16))
    return "-".join(letters[n : n + 4] for n in range(0, 16, 4))


def new_recovery_codes() -> list[str]:
    """Each in place of the authenticator's code, once. Digits alone, because they are typed where a
    telephone shows digits; 66 bits, so that a plain digest is enough.
    """
    return [
        "".join(secrets.choice("0123456789") for _ in range(RECOVERY_DIGITS))
        for _ in range(RECOVERY_CODES)
    ]


def new_secret() -> str:
    """256 random bits for a session, a client, a code; only its digest is kept."""
    return secrets.token_urlsafe(32)


def new_id() -> str:
    """A public id that tells nothing and cannot be counted through (trust.md H54)."""
    return secrets.token_hex(8)


def digest(secret: str) -> str:
    """What is kept of a secret of 256 bits: nobody can guess it, so a plain hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_secret(kept_digest: str, secret: str) -> bool:
    return hmac.compare_digest(kept_digest, digest(secret))


def new_totp_secret() -> str:
    return pyotp.random_base32()


def totp_address(secret: str, login: str) -> str:
    """otpauth:// address that authenticators read."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=ISSUER)


def totp_step(secret: str, code: str, now: datetime, last_step: int) -> int | None:
    """The time step that a code is of, one step early or late at most; None if it is wrong.

    last_step  of the last code that was taken: a code is good once (RFC 6238 5.2)
    """
    known = pyotp.TOTP(secret)
    step = int(now.timestamp()) // CODE_STEP_S
    for candidate in (step, step - 1, step + 1):
        right = hmac.compare_digest(
            known.generate_otp(candidate).encode(), code.encode("utf-8", "replace")
        )
        if right and candidate > last_step:
            return candidate
    return None


def network_of(address: str) -> str:
    """By what tries of one address are counted: an IPv6 caller has 64 bits to choose from, so its
    network; what is no address stays as it is.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found.packed, 64), strict=False))


@dataclass(frozen=True)
class Patience:
    """How many wrong tries are free, and what each further one costs.

    longest_s  the longest wait; after twice that without a try all is forgotten
    """

    free: int
    first_s: float
    longest_s: float

    def wait_s(self, failures: int) -> float:
        """From the last try to the next one."""
        if failures < self.free:
            return 0.0
        return float(min(self.longest_s, self.first_s * 2 ** min(failures - self.free, 30)))


# Nobody can shut an account for its owner: the third counts only for addresses that the account has
# not been used from, and its longest wait is short. It is what slows a guess from many addresses.
OF_ACCOUNT_AT_ADDRESS = Patience(free=5, first_s=2.0, longest_s=900.0)
OF_ADDRESS = Patience(free=50, first_s=2.0, longest_s=900.0)
OF_ACCOUNT = Patience(free=100, first_s=1.0, longest_s=60.0)
# Six digits are guessed from many addresses in days. Only who knows the password comes so far, so
# this, too, shuts nobody out who has not lost it; addresses that are known are not counted.
OF_CODE = Patience(free=10, first_s=2.0, longest_s=900.0)
