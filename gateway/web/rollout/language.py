"""One language of the ministry's pages: words, plurals, numbers, dates and money as its readers
write them (CLDR, by Babel). Everywhere else both languages stand beside each other; a page that is
printed and quoted is of one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal

from gateway.errors import BadRequest
from gateway.model.rollout.figures import Count, Share
from gateway.model.wording import Words

MILLION = 1_000_000
NO_BREAK = "\N{NO-BREAK SPACE}"


@lru_cache(maxsize=20_000)
def _decimal(value: float, pattern: str, code: str) -> str:
    return format_decimal(value, pattern, Locale(code))


@lru_cache(maxsize=10_000)
def _date(day: date, pattern: str, code: str) -> str:
    return format_date(day, pattern, Locale(code))


@dataclass(frozen=True)
class Language:
    """`code`: ru or en."""

    code: str

    def say(self, ru: str, en: str) -> str:
        return ru if self.code == "ru" else en

    def words(self, words: Words) -> str:
        return self.say(words.ru, words.en)

    def called(self, russian: str, english: Mapping[str, str]) -> str:
        """A text of the register that has a name in English, or has none."""
        return self.say(russian, english.get(russian, russian))

    def number(self, value: float, digits: int = 0) -> str:
        """Its thousands apart; at most so many digits behind the point."""
        return _decimal(value, "#,##0." + "#" * digits if digits else "#,##0", self.code)

    def percent(self, share: Share) -> str:
        """A dash where there is nothing to have a share of."""
        if share.percent is None:
            return "—"
        return f"{share.percent}{NO_BREAK}%" if self.code == "ru" else f"{share.percent}%"

    def of(self, share: Share) -> str:
        """Both numbers of a share: 12 of 34."""
        between = self.say("из", "of")
        part, whole = self.number(share.part), self.number(share.whole)
        return f"{part}{NO_BREAK}{between}{NO_BREAK}{whole}"

    def count(self, count: Count | None) -> str:
        """Of studies, as it may be told: <5 for a few, a dash for what is not told at all."""
        if count is None:
            return "—"
        return count.text if count.value is None else self.number(count.value)

    def plural(self, count: int, ru: str, en: str) -> str:
        """The form of a noun that fits: ru "аппарат|аппарата|аппаратов", en "unit|units"."""
        forms = self.say(ru, en).split("|")
        place = {"one": 0, "few": 1}.get(Locale(self.code).plural_form(count), len(forms) - 1)
        return forms[min(place, len(forms) - 1)]

    def counted(self, count: int, ru: str, en: str) -> str:
        """A number and its noun."""
        return f"{self.number(count)}{NO_BREAK}{self.plural(count, ru, en)}"

    def units(self, count: int) -> str:
        return self.counted(count, "аппарат|аппарата|аппаратов", "unit|units")

    def day(self, day: date | None) -> str:
        pattern = self.say("dd.MM.yyyy", "d MMM yyyy")
        return "—" if day is None else _date(day, pattern, self.code).replace(" ", NO_BREAK)

    def month(self, day: date) -> str:
        return _date(day, "LLLL yyyy", self.code)

    def month_short(self, day: date) -> str:
        return _date(day, self.say("MM.yyyy", "MMM yyyy"), self.code).replace(" ", NO_BREAK)

    def moment(self, at: datetime) -> str:
        return f"{self.day(at.date())}{NO_BREAK}{at:%H:%M}"

    def money(self, roubles: int | None) -> str:
        """Millions with one digit from a million on."""
        if roubles is None:
            return "—"
        if roubles < MILLION:
            return self.say(f"{self.number(roubles)} ₽", f"RUB {self.number(roubles)}")
        million = self.number(roubles / MILLION, 1)
        return self.say(f"{million} млн{NO_BREAK}₽", f"RUB{NO_BREAK}{million} million")

    def minutes(self, minutes: float | None) -> str:
        if minutes is None:
            return "—"
        return f"{self.number(minutes, 1)}{NO_BREAK}{self.say('мин', 'min')}"


LANGUAGES = {code: Language(code) for code in ("ru", "en")}


def language_of(asked: str) -> Language:
    """Russian unless English is asked for; raises BadRequest for another."""
    found = LANGUAGES.get(asked or "ru")
    if found is None:
        raise BadRequest("lang", "is neither ru nor en")
    return found
