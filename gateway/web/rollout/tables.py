"""The figures of a snapshot as tables with typed cells: what the workbook and the CSV file say,
with the same numbers as the pages. A share is told by its part and its whole beside the percent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from gateway.model.rollout.figures import (
    REGION,
    Clock,
    Count,
    Evidence,
    Figures,
    Scope,
    ScopeKind,
    Share,
)
from gateway.model.wording import Words
from gateway.web.rollout.definitions import DEFINITIONS
from gateway.web.rollout.language import Language
from gateway.web.rollout.programme import deliveries, joining
from gateway.web.rollout.shown import Shown
from gateway.web.rollout.words import EVIDENCE, FACILITY_KINDS, UNIT_KINDS

Cell = str | int | float | date | None
SCOPES: Mapping[ScopeKind, Words] = {
    ScopeKind.REGION: Words("Регион", "Region"),
    ScopeKind.MUNICIPALITY: Words("Муниципалитеты", "Municipalities"),
    ScopeKind.FACILITY_KIND: Words("Виды организаций", "Kinds of facility"),
    ScopeKind.UNIT_KIND: Words("Виды аппаратов", "Kinds of unit"),
    ScopeKind.FACILITY: Words("Организации", "Facilities"),
}


@dataclass(frozen=True)
class Table:
    """One sheet; every row has as many cells as the header."""

    name: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]


def tables_of(shown: Shown, language: Language, *, region: str) -> list[Table]:
    """All of a report; the first is the summary, the last its sources and definitions."""
    scopes = [
        scope_table(shown, kind, language) for kind in ScopeKind if kind is not ScopeKind.REGION
    ]
    return [
        _summary(shown, language),
        _course(shown, language),
        *scopes,
        _funding(shown, language),
        _deliveries(shown, language),
        _joining(shown, language),
        _definitions(shown, language, region),
    ]


def scope_table(shown: Shown, kind: ScopeKind, language: Language) -> Table:
    """One row for each scope of a kind."""
    rows = [
        (scope.name, _name(shown, scope, language), *_numbers(shown, scope, figures, language))
        for scope, figures in sorted(shown.snapshot.figures.items(), key=lambda one: one[0])
        if scope.kind is kind
    ]
    return Table(language.words(SCOPES[kind]), _header(language), rows)


def flat_table(shown: Shown, language: Language) -> Table:
    """Every scope in one table, with what kind it is of."""
    found = []
    for kind in (ScopeKind.REGION, *(k for k in ScopeKind if k is not ScopeKind.REGION)):
        found += [(str(kind), *row) for row in scope_table(shown, kind, language).rows]
    header = (language.say("Разрез", "Scope"), *_header(language))
    return Table(language.say("Показатели", "Figures"), header, found)


def _header(language: Language) -> tuple[str, ...]:
    say = language.say
    declared, proven = say("Заявлено", "Declared"), say("Подтверждено", "Proven")
    reached = say("Организаций с подтверждённым аппаратом", "Facilities with a proven unit")
    return (
        say("Код", "Code"),
        say("Название", "Name"),
        say("Рентгеновских аппаратов", "X-ray units"),
        declared,
        f"{declared}, %",
        proven,
        f"{proven}, %",
        *(language.words(EVIDENCE[one]) for one in Evidence),
        reached,
        say("Организаций", "Facilities"),
        f"{reached}, %",
        say("Подключено", "Joined"),
        say("Ещё по плану", "Planned"),
        say("Просрочено", "Late"),
        say("Исследований за 30 дней", "Studies in 30 days"),
    )


def _numbers(shown: Shown, scope: Scope, figures: Figures, language: Language) -> tuple[Cell, ...]:
    told = shown.studies(scope)
    return (
        figures.digital.whole,
        figures.digital.part,
        figures.digital.percent,
        figures.connected.part,
        figures.connected.percent,
        *(figures.by_evidence.get(one, 0) for one in Evidence),
        figures.proven_facilities.part,
        figures.proven_facilities.whole,
        figures.proven_facilities.percent,
        figures.joined,
        figures.planned,
        figures.late,
        studies_cell(told),
    )


def studies_cell(told: Count | None) -> Cell:
    """A number where one is told, else "<5" or nothing."""
    if told is None:
        return None
    return told.text if told.value is None else told.value


def _name(shown: Shown, scope: Scope, language: Language) -> str:
    facility = shown.facilities.get(scope.name) if scope.kind is ScopeKind.FACILITY else None
    if facility is not None:
        return language.words(facility.name)
    kinds = {ScopeKind.FACILITY_KIND: FACILITY_KINDS, ScopeKind.UNIT_KIND: UNIT_KINDS}
    words = kinds.get(scope.kind, {}).get(scope.name)
    if scope.kind is ScopeKind.REGION:
        words = SCOPES[ScopeKind.REGION]
    return language.words(words) if words else language.called(scope.name, shown.english)


def _summary(shown: Shown, language: Language) -> Table:
    say, now, forecast = language.say, shown.snapshot.region, shown.snapshot.forecast
    rows: list[tuple[Cell, ...]] = [
        (say("Показатели на конец дня", "Figures at the end of"), shown.snapshot.day, None, None),
        _share(say("Заявлено цифровыми", "Declared digital"), now.digital),
        _share(say("Подтверждено снимками", "Proven by images"), now.connected),
        _share(
            say("Организаций с подтверждённым аппаратом", "Facilities with a proven unit"),
            now.proven_facilities,
        ),
    ]
    for one in Evidence:
        share = Share(now.by_evidence.get(one, 0), now.digital.whole)
        rows.append(_share(language.words(EVIDENCE[one]), share))
    single: list[tuple[str, Cell]] = [
        (say("Неизвестных отправителей", "Unknown senders"), shown.snapshot.unknown_senders),
        (say("Исследований за 30 дней", "Studies in 30 days"), studies_cell(shown.studies())),
        *(
            (say(f"Исследований за 30 дней: {name}", f"Studies in 30 days: {name}"),
             studies_cell(count))
            for name, count in shown.snapshot.told.by_modality.items()
        ),
        *_clocks(shown, language),
        (say("Организаций подключено", "Facilities joined"), now.joined),
        (say("Организаций ещё по плану", "Facilities planned"), now.planned),
        (say("Организаций просрочено", "Facilities late"), now.late),
        (say("Потрачено, ₽", "Spent, RUB"), now.money.spent),
        (say("Обновлено аппаратов", "Units renewed"), now.money.renewed),
        (say("В среднем за аппарат, ₽", "Mean cost of a unit, RUB"), now.money.cost_per_renewed),
        (say("Экономия в год, от, ₽", "Saved a year, from, RUB"), now.money.saving_low),
        (say("Экономия в год, до, ₽", "Saved a year, to, RUB"), now.money.saving_high),
        (say("100 % по темпу", "100% by the pace"), forecast.straight),
        (say("100 % по темпу, не раньше", "100% by the pace, earliest"), forecast.straight_from),
        (say("100 % по темпу, не позже", "100% by the pace, latest"), forecast.straight_to),
        (say("100 % по плану", "100% by the plan"), forecast.by_plan),
        (say("Без плана замены, аппаратов", "Units without a plan"), forecast.unplanned),
    ]  # fmt: skip
    rows += [(name, value, None, None) for name, value in single]
    header = (say("Показатель", "Measure"), say("Значение", "Value"), say("Из", "Of"), "%")
    return Table(say("Сводка", "Summary"), header, rows)


def _clocks(shown: Shown, language: Language) -> list[tuple[str, Cell]]:
    say, told = language.say, shown.snapshot.told
    moments: tuple[tuple[str, Mapping[Scope, Clock]], ...] = (
        (say("до показа", "until visible"), told.visible),
        (say("до архива", "until archived"), told.archived),
        (say("до медкарты", "until told"), told.told),
    )
    found: list[tuple[str, Cell]] = []
    for name, clocks in moments:
        clock = clocks.get(REGION, Clock())
        share = clock.share
        found += [
            (say(f"Минут {name}, медиана", f"Minutes {name}, median"), clock.median),
            (say(f"Минут {name}, 95 из 100", f"Minutes {name}, 95 of 100"), clock.p95),
            (say(f"За две минуты {name}, %", f"Within two minutes {name}, %"),
             share.percent if share else None),
        ]  # fmt: skip
    return found


def _share(name: str, share: Share) -> tuple[Cell, ...]:
    return name, share.part, share.whole, share.percent


def _course(shown: Shown, language: Language) -> Table:
    say = language.say
    header = (
        say("На конец дня", "End of day"),
        say("Заявлено", "Declared"),
        say("Из", "Of"),
        say("Заявлено, %", "Declared, %"),
        say("Подтверждено", "Proven"),
        say("Из", "Of"),
        say("Подтверждено, %", "Proven, %"),
        say("Исследований за 30 дней", "Studies in 30 days"),
    )
    rows = [
        (
            one.day,
            one.digital.part,
            one.digital.whole,
            one.digital.percent,
            one.connected.part,
            one.connected.whole,
            one.connected.percent,
            one.studies,
        )
        for one in shown.curve()
    ]
    return Table(say("Ход", "Course"), header, rows)


def _funding(shown: Shown, language: Language) -> Table:
    say, money = language.say, shown.snapshot.region.money
    rows = [
        (language.called(name, shown.english) or say("не указано", "not named"), spent)
        for name, spent in money.by_funding.items()
    ]
    header = (say("Источник", "Line of funding"), say("Потрачено, ₽", "Spent, RUB"))
    return Table(say("Деньги", "Money"), header, rows)


def _deliveries(shown: Shown, language: Language) -> Table:
    say = language.say
    header = (say("Месяц", "Month"), say("Обновлено", "Renewed"), say("По плану", "Planned"))
    rows = [(one.first, one.renewed, one.planned) for one in deliveries(shown)]
    return Table(say("Поставки", "Deliveries"), header, rows)


def _joining(shown: Shown, language: Language) -> Table:
    say, day = language.say, shown.snapshot.day
    header = (say("Месяц", "Month"), say("Подключено", "Joined"), say("По плану", "Planned"))
    rows = [
        (one.first, one.joined if one.first <= day else None, one.planned) for one in joining(shown)
    ]
    return Table(say("Подключение", "Joining"), header, rows)


def _definitions(shown: Shown, language: Language, region: str) -> Table:
    say, one = language.say, shown.snapshot
    source: list[tuple[Cell, ...]] = [
        (say("Регион", "Region"), region),
        (say("На конец дня", "End of day"), one.day),
        (say("Показатели взяты, UTC", "Figures taken, UTC"), f"{one.taken_at:%Y-%m-%d %H:%M}"),
        (say("Редакция", "Version"), one.version),
        (say("Причина исправления", "Reason of the correction"), one.reason or "—"),
    ]  # fmt: skip
    defined = [(language.words(name), language.words(text)) for name, text in DEFINITIONS]
    header = (say("Что", "What"), say("Что это значит", "What it means"))
    return Table(say("Источники", "Sources"), header, [*source, *defined])
