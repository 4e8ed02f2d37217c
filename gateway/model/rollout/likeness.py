"""When two texts about a machine mean the same, however they are written. Pure."""

import re
import unicodedata
from functools import lru_cache

_LOOK_ALIKE = str.maketrans("авекмнорстухёіјѕ", "abekmhopctyxeijs")
_MAKERS = {
    "agfa": "agfa, агфа",
    "amico": "amico, амико",
    "canon": "canon, toshiba, тошиба",
    "carestream": "carestream, kodak, eastman kodak",
    "electron": "electron, elektron, nipk electron, nipk elektron, электрон, нипк электрон",
    "fuji": "fuji, фуджи",
    "ge": "ge medical, ge health, gems, general electric, дженерал электрик",
    "gelpik": "gelpik, helpik, гелпик",
    "hologic": "hologic, lorad",
    "konica": "konica, minolta, коника",
    "mindray": "mindray, shenzhen mindray",
    "mtl": "mtl, medtech, medicinskie tehnologii, медицинские технологии, мтл",
    "philips": "philips, филипс",
    "proton": "proton, s p proton, протон",
    "samsung": "samsung, medison",
    "shimadzu": "shimadzu, шимадзу",
    "siemens": "siemens, сименс",
}
"""Beginnings of a maker's names, bought and spelled in its time."""
_EMPTY = """none unknown na null sn nosn serial serialno serialnumber default test xxx xxxx xxxxx
    12345 123456 1234567 12345678 123456789 99999 999999"""
_NO_SERIAL = frozenset(_EMPTY.split())
_NO_LETTERS = re.compile(r"[\W_]+")
_SHORTEST = 4  # letters of what is called similar: of fewer, another one is another name


@lru_cache(maxsize=65_536)
def folded(said: str) -> str:
    """Letters and digits alone, small, Cyrillic ones as the Latin ones that look the same."""
    plain = unicodedata.normalize("NFKC", said).casefold().translate(_LOOK_ALIKE)
    return _NO_LETTERS.sub("", plain)


_BEGINNINGS = sorted(
    ((folded(name), maker) for maker, names in _MAKERS.items() for name in names.split(",")),
    key=lambda one: -len(one[0]),
)


@lru_cache(maxsize=16_384)
def maker(said: str) -> str:
    """A manufacturer, one name for all of its names."""
    plain = folded(said)
    found = (known for beginning, known in _BEGINNINGS if plain.startswith(beginning))
    return next(found, plain)


@lru_cache(maxsize=65_536)
def serial_number(said: str) -> str:
    """Without zeros in front; "" of what is no number of one machine ("none", "12345")."""
    plain = folded(said).lstrip("0")
    return "" if plain in _NO_SERIAL else plain


_NORMAL = {"manufacturer": maker, "serial": serial_number}


def normal(field: str, said: str) -> str:
    """A text of a sender or fingerprint (by the field's name) as it is compared."""
    return _NORMAL.get(field, folded)(said)


def is_similar(one: str, other: str) -> bool:
    """Whether two normal texts differ by one letter, or one begins or ends with the other."""
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < _SHORTEST:
        return False
    if longer.startswith(shorter) or longer.endswith(shorter):
        return True
    return len(longer) - len(shorter) <= 1 and _differ_once(shorter, longer)


def _differ_once(shorter: str, longer: str) -> bool:
    for at, letter in enumerate(shorter):
        if letter != longer[at]:
            rest = shorter[at + (len(shorter) == len(longer)) :]
            return rest == longer[at + 1 :] or shorter[at:] == _swapped(longer[at:])
    return True


def _swapped(said: str) -> str:
    return said[1:2] + said[:1] + said[2:]
