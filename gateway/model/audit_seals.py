"""Signed heads of the audit: whoever made the chain anew has no key to sign it with. Pure.

A seal is itself a row, the one after the head that it signs, and a line of a file beside the
database (records/audit_seals.py), of which copies may be kept elsewhere: rows that were taken off
the end, with their seals, show against it.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.model.audit import SEAL, Entry, Head
from gateway.model.credentials import new_id


@dataclass(frozen=True)
class Seal:
    """signature  Ed25519 over number, chain and moment, base64"""

    number: int
    chain: str
    at: datetime
    signature: str

    @property
    def head(self) -> Head:
        return Head(self.number, self.chain)

    def to_line(self) -> bytes:
        told = {**vars(self), "at": _moment(self.at)}
        return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def read_seal(line: bytes) -> Seal:
    """raises ValueError for what is none"""
    told = orjson.loads(line)
    if not isinstance(told, dict) or set(told) != set(Seal.__dataclass_fields__):
        raise ValueError("no seal of the audit")
    at = datetime.fromisoformat(told["at"])
    return Seal(int(told["number"]), str(told["chain"]), at, str(told["signature"]))


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _signed(number: int, chain: str, at: datetime) -> bytes:
    return f"gateway audit\n{number}\n{chain}\n{_moment(at)}".encode()


class Signer:
    """Makes and judges seals; `public` judges them elsewhere.

    key  32 bytes of the gateway's key ring
    """

    def __init__(self, key: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(key)
        self._public: Ed25519PublicKey = self._key.public_key()

    def __repr__(self) -> str:
        return "Signer(***)"

    @property
    def public(self) -> str:
        """The raw public key (RFC 8032), base64."""
        return base64.b64encode(self._public.public_bytes_raw()).decode()

    def sign(self, head: Head, at: datetime) -> Seal:
        signature = self._key.sign(_signed(*head, at))
        return Seal(*head, at, base64.b64encode(signature).decode())

    def holds(self, seal: Seal) -> bool:
        """Whether it is of this gateway."""
        try:
            given = base64.b64decode(seal.signature, validate=True)
            self._public.verify(given, _signed(*seal.head, seal.at))
        except (binascii.Error, ValueError, InvalidSignature):
            return False
        return True


def entry_of(seal: Seal) -> Entry:
    """The row that tells of it; goes wherever the audit goes."""
    return Entry(
        entry_id=new_id(), request="", at=seal.at, actor="", kind="keeper", purpose="",
        action=SEAL, site_id="", study_uid="", outcome="done", reason="", status=0,
        detail=seal.signature, target=str(seal.number),
    )  # fmt: skip


def seal_of(entry: Entry, chain: str) -> Seal | None:
    """The seal that a row tells of, over the row before it; None if it tells of none.

    chain  of the row before
    """
    if entry.action != SEAL or not entry.target.isdecimal():
        return None
    return Seal(int(entry.target), chain, entry.at, entry.detail)
