"""What is wrong in a rule document: where, and which sentence says so in both languages.

Reading goes on after a mistake, so that the author learns of all of them at once. The sentences
are in words.py; the lines of a YAML file are found by document.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]
"""Keys and list positions (from 0) that lead to a place: ("rules", 2, "when", "all", 0, "op")."""

MAX_TEXT = 200


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    code    a key of words.MISTAKES
    detail  what the sentence names: the choices, a limit; never more than the author wrote
    """

    path: Path
    code: str
    detail: str = ""


@dataclass
class Reader:
    """One value of a document, its place, and the list where mistakes are collected."""

    value: Any
    path: Path = ()
    mistakes: list[Mistake] = field(default_factory=list)

    def wrong(self, code: str, detail: str = "") -> None:
        self.mistakes.append(Mistake(self.path, code, detail))

    def has(self, key: str) -> bool:
        return isinstance(self.value, Mapping) and key in self.value

    def at(self, key: str | int) -> "Reader":
        """The value below; None where there is none."""
        if isinstance(key, int):
            inside = self.value[key]
        else:
            inside = self.value.get(key) if isinstance(self.value, Mapping) else None
        return Reader(inside, (*self.path, key), self.mistakes)

    def table(self, known: Sequence[str]) -> bool:
        """Whether this is a table; keys that nobody knows are mistakes."""
        if not isinstance(self.value, Mapping):
            self.wrong("not_a_table")
            return False
        for key in self.value:
            if key not in known:
                Reader(None, (*self.path, str(key)[:MAX_TEXT]), self.mistakes).wrong(
                    "unknown_key", ", ".join(known)
                )
        return True

    def items(self, *, least: int = 1, most: int = MAX_TEXT) -> list["Reader"]:
        """The entries of a list; a mistake and [] if it is none, too short or too long."""
        if not isinstance(self.value, list):
            self.wrong("not_a_list")
            return []
        if not least <= len(self.value) <= most:
            self.wrong("list_length", f"{least}-{most}")
            return []
        return [self.at(n) for n in range(len(self.value))]

    def text(self, default: str | None = None, *, most: int = MAX_TEXT) -> str:
        """A text of one line without control characters; `default` makes it optional."""
        if self.value is None and default is not None:
            return default
        if self.value is None:
            self.wrong("missing_key")
        elif not isinstance(self.value, str) or not self.value.strip():
            self.wrong("not_a_text")
        elif len(self.value) > most:
            self.wrong("too_long", str(most))
        elif not self.value.isprintable():
            self.wrong("unprintable")
        else:
            return self.value.strip()
        return default or ""

    def choice(self, allowed: Sequence[str], default: str | None = None) -> str:
        if self.value is None and default is not None:
            return default
        if self.value is None:
            self.wrong("missing_key")
        elif not isinstance(self.value, str) or self.value not in allowed:
            self.wrong("not_a_choice", ", ".join(allowed))
        else:
            return self.value
        return default if default is not None else allowed[0]

    def flag(self, default: bool) -> bool:
        if self.value is None:
            return default
        if not isinstance(self.value, bool):
            self.wrong("not_a_flag")
            return default
        return self.value

    def whole(self, default: int, least: int, most: int) -> int:
        if self.value is None:
            return default
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.wrong("not_a_number")
            return default
        if not least <= self.value <= most:
            self.wrong("out_of_range", f"{least}-{most}")
            return default
        return self.value
