"""Names as people type them: one folded form, one Latin form, and texts read in a wrong alphabet.

Both forms exist to compare, never to show. Matching lies in dicom/matching.py; the index keeps the
forms in columns (index/columns.py), so a change here asks for the rows to be made again.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import islice, product
from typing import Any

from gateway.dicom.attributes import Dataset

_DROPPED = frozenset("'`´ʹʺʼʻ‘’′″\"")
_RUSSIAN = re.compile(r"[А-Яа-яЁё]")

# Letters as ГОСТ Р 52535.1 (ИКАО Doc 9303) writes them, but for what the reduction below makes one.
_CYRILLIC = dict(
    zip(
        "абвгдезийклмнопрстуфыэіїєґў", "abvgdeziiklmnoprstufieiiegu", strict=True
    )
) | {
    "ё": "e", "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ь": "",
    "ю": "iu", "я": "ia",
}  # fmt: skip
# ISO 9 has one letter for one; the other accents only lose their mark.
_ACCENTED = {"ž": "zh", "š": "sh", "č": "ch", "ŝ": "sh", "â": "ia", "û": "iu"} | {
    "ø": "o", "ł": "l", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe", "ı": "i",
}  # fmt: skip
_LETTERS = str.maketrans(_CYRILLIC | _ACCENTED)
# What is read in two ways, the likelier first: ъ is left out, or IE of passports; X is КС, or Х of
# ГОСТ 7.79; C is Ц of ISO 9 or К, where no letter after it decides.
_READINGS = [
    (re.compile(pattern), replacements)
    for pattern, replacements in (
        ("ъ", ("", "ie")),
        ("x", ("ks", "kh")),
        ("(?<!t)c(?=ov)", ("ts", "k")),
        ("(?<!t)c(?![hkzeiyjvtlr])", ("k", "ts")),
    )
]
MAX_READINGS = 16
"""Of one name or key; a long one that has more is compared in the likeliest."""
# In this order; each joins the spellings of one Russian sound.
_REDUCTIONS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"tsch|tch", "ch"),
        (r"s[hc]?ch|shh", "sh"),  # Щ: SHCH, SCH, ГОСТ 7.79 SHH; and Schmidt is Шмидт
        (r"kh", "h"),
        (r"ph", "f"),
        (r"w", "v"),
        (r"q|ck|c(?=[tlr])", "k"),
        (r"t[zc](?!h)|cz|c(?!h)", "ts"),  # Ц: TS, TC of older passports, CZ of ГОСТ 7.79, C of ISO
        (r"[yj]", "i"),
        (r"i+", "i"),  # ий: II, IY, Y, IJ
        (r"i(?=e)", ""),  # Е: E, YE, JE; ье: EV, IEV, YEV
        (r"io|(?<=[csz]h)o", "e"),  # Ё: E, YO, IO, JO, and O after Ж, Ч, Ш, Щ
    )
]


def fold(text: str) -> str:
    """Tokens with one space between: no case, ё as е, hyphens, dots, commas, `^`, `=` as spaces.

    Apostrophes go away. `*` and `?` stay, so keys of a search are folded by the same rule.
    """
    return " ".join("".join(map(_folded, unicodedata.normalize("NFC", text))).split())


@lru_cache(maxsize=4096)
def _folded(letter: str) -> str:
    if letter in _DROPPED:
        return ""
    if letter in "*?":
        return letter
    if unicodedata.category(letter)[0] in "PZC" or letter in "^=|~":
        return " "
    low = letter.casefold()
    if len(low) != 1:
        return letter
    return "е" if low == "ё" else low


@lru_cache(maxsize=16384)
def name_key(name: str) -> str:
    """A person's name folded for search: "ИВАНОВ^Пётр^ИЛЬИЧ" -> "иванов петр ильич"."""
    return fold(name.replace("*", " ").replace("?", " "))


@lru_cache(maxsize=16384)
def latin_key(name: str) -> str:
    """The same in one Latin form, whichever alphabet and transliteration it was written in.

    "Щербакова^Юлия", "SHCHERBAKOVA YULIYA" and "Scherbakova, Iuliia" are "sherbakova iulia". Of
    several readings this is the likeliest.
    """
    return latin_readings(name_key(name))[0]


@lru_cache(maxsize=16384)
def latin_readings(folded: str) -> tuple[str, ...]:
    """All Latin forms of a folded text without wildcards, the likeliest first.

    "caplina" is "kaplina" (Каплина) or "tsaplina" (Цаплина).
    """
    words = [_readings_of_word(word) for word in folded.split(" ")]
    return tuple(dict.fromkeys(map(" ".join, islice(product(*words), MAX_READINGS))))


@lru_cache(maxsize=16384)
def _readings_of_word(word: str) -> tuple[str, ...]:
    text = word.translate(_LETTERS)
    if not text.isascii():
        text = "".join(
            letter for letter in unicodedata.normalize("NFKD", text)
            if not unicodedata.combining(letter)
        ).casefold()  # fmt: skip
    texts = [text]
    for pattern, replacements in _READINGS:
        both = [pattern.sub(how, one) for how in replacements for one in texts]
        texts = list(dict.fromkeys(both))
    return tuple(dict.fromkeys(map(_reduced, texts)))


def _reduced(text: str) -> str:
    for pattern, replacement in _REDUCTIONS:
        text = pattern.sub(replacement, text)
    return text


def latin_patterns(folded: str) -> tuple[str, ...]:
    """The Latin forms of a folded key with wildcards; any of them is enough.

    There are more if a `*` cuts what would be read as one: the end of "ALI*" may be the И of "Али"
    or the IE of "Алиев", that of "NIC*" the Ч of "Ничипоренко".
    """
    pieces = [*re.split(r"([*? ])", folded), ""]
    choices = [
        (piece,) if at % 2 else _readings_of_piece(piece, is_cut=pieces[at + 1] == "*")
        for at, piece in enumerate(pieces[:-1])
    ]
    patterns = list(map("".join, islice(product(*choices), MAX_READINGS)))
    patterns += [re.sub(r"(?<=.)i\*", "e*", pattern) for pattern in patterns]
    return tuple(dict.fromkeys(patterns))


def _readings_of_piece(piece: str, *, is_cut: bool) -> tuple[str, ...]:
    more = _readings_of_word(piece + "h") if is_cut and piece.endswith("c") else ()
    return (*_readings_of_word(piece), *more)


def repair(record: Dataset) -> Dataset:
    """The record with texts that were read in a wrong character set read again.

    Only what is clearly Russian read as Latin-1 (or windows-1251 read as ISO_IR 144) is changed;
    real Latin-1 names stay. Returns the same object if nothing was wrong; the given record is never
    changed. Items of sequences are repaired too.
    """
    repaired = {tag: _element(element) for tag, element in record.items()}
    if all(repaired[tag] is element for tag, element in record.items()):
        return record
    return repaired


_MAX_DEPTH = 8


def _element(element: Any, depth: int = 0) -> Any:
    """Element, list, item or text of a record, repaired; the same object if nothing was wrong."""
    if isinstance(element, str):
        return reread(element)
    if depth > _MAX_DEPTH:
        return element
    if isinstance(element, list):
        fresh = [_element(value, depth + 1) for value in element]
        return fresh if any(a is not b for a, b in zip(fresh, element, strict=True)) else element
    if isinstance(element, dict):
        made = {key: _element(value, depth + 1) for key, value in element.items()}
        return made if any(made[key] is not value for key, value in element.items()) else element
    return element


_MISREAD = (("latin-1", "utf-8"), ("latin-1", "cp1251"), ("latin-1", "iso8859_5"))
_ODD_CYRILLIC = frozenset("№ђѓєѕіїјљњћќ§ўџ")


def reread(text: str) -> str:
    """The text, read again if it is clearly Russian that was read in a wrong character set."""
    if text.isascii():
        return text
    if _ODD_CYRILLIC & set(text) and _RUSSIAN.search(text):
        ways: tuple[tuple[str, str], ...] = (("iso8859_5", "cp1251"),)
    elif any("\x80" <= letter <= "ÿ" for letter in text) and not _RUSSIAN.search(text):
        ways = _MISREAD
    else:
        return text
    for wrong, right in ways:
        try:
            found = text.encode(wrong).decode(right)
        except UnicodeError:
            continue
        if _is_russian(found):
            return found
    return text


_WORD = re.compile(r"[^\W\d_]+")
_VOWELS = frozenset("аеёиоуыэюя")
_RUSSIAN_WORD = re.compile(r"[А-ЯЁ]?[а-яё]*|[А-ЯЁ]+")


def _is_russian(text: str) -> bool:
    """Whether a second reading is Russian, so that the first could hardly be anything else.

    Each word is Russian in one case or all ASCII. Three Russian letters at least, more than the
    ASCII ones, and a vowel: a lone "Ö" or "né" is no Russian word.
    """
    words = _WORD.findall(text)
    russian = [word for word in words if not word.isascii()]
    if not all(_RUSSIAN_WORD.fullmatch(word) for word in russian):
        return False
    count = sum(map(len, russian))
    ascii_count = sum(len(word) for word in words if word.isascii())
    vowels = sum(letter in _VOWELS for word in russian for letter in word.lower())
    if any(not letter.isascii() and letter not in "№«»–—" for letter in _WORD.sub("", text)):
        return False
    return count >= 3 and count > ascii_count and vowels * 8 >= count
