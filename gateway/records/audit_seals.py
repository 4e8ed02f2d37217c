"""Where seals of the audit lie beside the database: STATE_DIR/audit/seals.jsonl, one a line.

Who can write to the database alone cannot change them; a copy of the file on another machine also
shows what was done by somebody who can write here.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import SettingsError
from gateway.log import log
from gateway.model.audit_seals import Seal, Signer, read_seal
from gateway.records.keyring import load_keyring
from gateway.settings import Settings

FILE = "seals.jsonl"


def seals_file(settings: Settings) -> Path:
    return settings.state_dir / "audit" / FILE


def load_signer(settings: Settings) -> Signer | None:
    """With the key of this gateway; None before `gateway init`. Raises SettingsError."""
    if not settings.keyring_file.exists():
        return None
    return Signer(load_keyring(settings.keyring_file).derived("audit seals"))


def save_seal(path: Path, seal: Seal) -> None:
    """Add a line; it is on the disk when this ends. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        os.write(file, seal.to_line() + b"\n")
        os.fsync(file)
    finally:
        os.close(file)


def load_seals(path: Path) -> Sequence[Seal]:
    """What a file holds; none if there is no such file.

    raises  SettingsError if it cannot be read, or a line of it is no seal
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read ({type(error).__name__})"]) from error
    found = []
    for n, line in enumerate(lines, 1):
        try:
            found.append(read_seal(line))
        except (ValueError, TypeError) as error:
            if n == len(lines):  # the keeper died while it wrote
                log.warning("the last seal of the audit is not whole", file=path.name)
                continue
            raise SettingsError([f"{path}: line {n} is no seal of the audit"]) from error
    return tuple(found)
