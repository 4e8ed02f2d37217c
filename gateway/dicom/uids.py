"""DICOM unique identifiers: syntax only (PS3.5 9.1).

The check stands before everything else that a caller names in a path or a query, so that a UID
can go into a site's URL without a second thought (no percent sign, slash, newline, foreign digit).
"""

import re

from gateway.errors import BadRequest

MAX_LENGTH = 64

# \Z, not $: the latter lets a trailing newline through. [0-9], not \d: \d takes Arabic digits.
_STRICT = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*\Z", re.ASCII)
_LENIENT = re.compile(r"[0-9]+(?:\.[0-9]+)*\Z", re.ASCII)


def is_uid(text: str) -> bool:
    """Whether text is a UID as the standard wants it: no leading zeros, 1 to 64 characters."""
    return len(text) <= MAX_LENGTH and _STRICT.match(text) is not None


def is_lenient_uid(text: str) -> bool:
    """Like is_uid, but takes leading zeros (1.2.03), which old modalities really write."""
    return len(text) <= MAX_LENGTH and _LENIENT.match(text) is not None


def check_uid(text: str, field: str, *, lenient: bool = True) -> str:
    """Give text back if it is a UID.

    field    the name that the caller knows ("StudyInstanceUID"); goes into the error
    lenient  True to find what real archives hold; False for what is to be stored
    raises   BadRequest, which never shows the value
    """
    if not (is_lenient_uid(text) if lenient else is_uid(text)):
        raise BadRequest(field, "is not a DICOM UID (digits and dots, at most 64 characters)")
    return text
