"""The second thing that a person proves who they are by: the authenticator's code, or one of the
recovery codes that were written down for the day on which the phone is lost.
"""

from datetime import datetime

from gateway.model.credentials import RECOVERY_DIGITS, totp_step
from gateway.records import accounts
from gateway.records.engine import Records
from gateway.records.keyring import Keyring
from gateway.records.recovery import take_recovery_code

SPACES = str.maketrans("", "", " -\t\u00a0")


def take_code(
    records: Records, keyring: Keyring, proof: accounts.Proof, typed: str, now: datetime
) -> bool:
    """Whether the code is right; it is good once. Tries are counted by the caller."""
    code = typed.translate(SPACES)
    if len(code) == RECOVERY_DIGITS:
        return take_recovery_code(records, proof.account_id, code, now)
    step = totp_step(keyring.unseal(proof.totp_sealed), code, now, proof.totp_step)
    return step is not None and accounts.take_totp_step(records, proof.account_id, step)
