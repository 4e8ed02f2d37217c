"""What the gateway raises an alarm for, in the words that people read. Pure.

An alarm's subject and facts are UIDs and ids of ours, never a patient's data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

STUDY_OF_TWO_PATIENTS = "study_of_two_patients"
TORN_LINK = "torn_link"
REFUSED_CONTENT = "refused_other_content"
REFUSED_PATIENT = "refused_other_patient"
ANSWERS_OTHER = "site_answers_other"
COPIES_DIFFER = "copies_differ"
NAME_NOT_RESOLVED = "site_name_not_resolved"
EXECUTABLE_PREAMBLE = "executable_preamble"
ARRIVALS_WAIT = "arrivals_wait"
STUDIES_WITHOUT_RULES = "studies_without_rules"
STUDIES_NOT_JUDGED = "studies_not_judged"
STUDIES_NOT_PLANNED = "studies_not_planned"
SOURCE_LOST = "source_lost"
DELIVERIES_PARKED = "deliveries_parked"
DELIVERIES_IN_CONFLICT = "deliveries_in_conflict"
DELIVERIES_STUCK = "deliveries_stuck"
DESTINATION_SILENT = "destination_silent"
DESTINATION_BLOCKED = "destination_blocked"
DESTINATION_UNKNOWN = "destination_unknown"
EMERGENCY_LATE = "emergency_late"
DELIVERIES_OLD = "deliveries_old"
DELIVERED_LOST = "delivered_lost"
SOURCE_RECYCLES = "source_recycles"
SITE_SILENT = "site_silent"
SITE_CLOCK_OFF = "site_clock_off"
SITE_REPLACED = "site_database_replaced"
GATEWAY_CLOCK_OFF = "gateway_clock_off"
DISK_FILLS = "disk_fills"
REDIS_AWAY = "redis_away"
REDIS_EVICTS = "redis_evicts"
NOTICES_WAIT = "notices_wait"
ADDRESS_LIST_UNKNOWN = "address_list_unknown"
AUDIT_BROKEN = "audit_broken"
AUDIT_WAITS = "audit_waits"
CERTIFICATE_ENDS = "certificate_ends"
VERSION_HAS_HOLE = "version_has_hole"
EMERGENCY_ACCESS = "emergency_access"
SITE_UNGUARDED = "site_unguarded"
SENDERS_WITHOUT_END = "senders_without_end"
LINKS_GUESSED = "links_guessed"

CLOSED_BY_WORD = frozenset(
    {REFUSED_CONTENT, REFUSED_PATIENT, ANSWERS_OTHER, COPIES_DIFFER, EXECUTABLE_PREAMBLE}
)
"""Kinds that no data clears: what was refused lies at its sender alone, who answered for a site and
which of two contents is right nobody can see from here, so that a person must say that it is
settled. The next cause raises a new alarm. Subject: the study; of ANSWERS_OTHER the site."""

MEANING: Mapping[str, tuple[str, str]] = {
    LINKS_GUESSED: (
        "кто-то подбирает ссылки пациентов: много попыток с секретами, которых нет",
        "somebody guesses patients' links: many tries with secrets that do not exist",
    ),
    SITE_UNGUARDED: (
        "площадка отвечает без шифрования или кому угодно, и оператор этого не подписал",
        "a site answers unencrypted or to anyone, and the operator has not signed for it",
    ),
    EMERGENCY_ACCESS: (
        "врач открыл исследование чужой больницы по экстренному доступу; его ещё не проверили",
        "a doctor opened another hospital's study by emergency access; nobody has reviewed it yet",
    ),
    STUDY_OF_TWO_PATIENTS: (
        "под одним StudyInstanceUID разные пациенты",
        "different patients under one StudyInstanceUID",
    ),
    TORN_LINK: (
        "подтверждённая связь номеров пациента стала невозможной",
        "a confirmed link between patient identifiers has become impossible",
    ),
    REFUSED_CONTENT: (
        "не сохранены снимки: такие UID уже лежат с другим содержимым",
        "images were refused: their UIDs are held with other content",
    ),
    REFUSED_PATIENT: (
        "не сохранены снимки: исследование лежит у другого пациента",
        "images were refused: the study is held, of another patient",
    ),
    ANSWERS_OTHER: (
        "площадка отдаёт не те снимки, о которых её спросили; они никому не показаны",
        "a site gives other images than it was asked for; nobody was shown them",
    ),
    COPIES_DIFFER: (
        "в больницах под одним UID снимки с разным содержимым; показывают снимки одной из них",
        "hospitals hold images with different content under one UID; those of one are shown",
    ),
    NAME_NOT_RESOLVED: (
        "адрес площадки по её имени не найти; последний известный служит не дольше десяти минут",
        "a site's name cannot be looked up; its last address serves for ten minutes at most",
    ),
    EXECUTABLE_PREAMBLE: (
        "сохранены файлы, которые начинаются как программа (MZ, ELF); отдаются только как снимки",
        "files that begin as a program does (MZ, ELF) were stored; they are given as images only",
    ),
    ARRIVALS_WAIT: (
        "новые исследования больницы больше минуты ждут решения",
        "new studies of a hospital have waited for a decision for more than a minute",
    ),
    STUDIES_WITHOUT_RULES: (
        "у больницы нет действующих правил, её исследования никуда не едут",
        "a hospital has no active rules: its studies go nowhere",
    ),
    STUDIES_NOT_JUDGED: (
        "исследования не удаётся прочитать или решить, куда им ехать",
        "studies cannot be read, or it cannot be decided where they go",
    ),
    STUDIES_NOT_PLANNED: (
        "решено отправить, а доставки нет: ошибка шлюза",
        "it was decided to send studies, but no delivery exists: a fault of the gateway",
    ),
    SOURCE_LOST: (
        "исследования удалены из больницы раньше, чем доставлены",
        "studies were deleted at the hospital before they were delivered",
    ),
    DELIVERIES_PARKED: (
        "доставки отложены после повторных отказов и ждут человека",
        "deliveries are parked after repeated refusals and wait for a person",
    ),
    DELIVERIES_IN_CONFLICT: (
        "у получателя под теми же UID лежит другое содержимое",
        "the destination holds other content under the same UIDs",
    ),
    DELIVERIES_STUCK: (
        "доставки ждут больше минуты, и ни одна не движется: работают ли worker?",
        "deliveries have waited for more than a minute and none moves: do the workers run?",
    ),
    DESTINATION_SILENT: (
        "получатель не принимает: молчит или полон; пробуем дальше",
        "a destination does not take studies: it is silent or full; it is tried again",
    ),
    DESTINATION_BLOCKED: (
        "получатель не принимает наш пароль или настройку; ждём исправления",
        "a destination refuses our password or configuration; mend it in region.toml",
    ),
    DESTINATION_UNKNOWN: (
        "правила называют получателя, которого нет в region.toml",
        "rules name a destination that is not in region.toml",
    ),
    EMERGENCY_LATE: (
        "экстренные исследования не доставлены за минуту",
        "emergency studies are not delivered within a minute",
    ),
    DELIVERED_LOST: (
        "ночная сверка: доставленного у получателя нет или оно другое; недостающее едет снова",
        "the nightly comparison misses what was delivered, or finds it changed; "
        "what is missing is sent again",
    ),
    DELIVERIES_OLD: (
        "получатель принимает, но часть доставок ждёт слишком долго",
        "the destination takes studies, but some deliveries have waited for too long",
    ),
    SOURCE_RECYCLES: (
        "Orthanc больницы скоро начнёт стирать исследования, которые ещё не доставлены",
        "the hospital's Orthanc will soon delete studies that are not delivered yet",
    ),
    SITE_SILENT: (
        "площадка молчит больше минуты",
        "a site has been silent for more than a minute",
    ),
    SITE_CLOCK_OFF: (
        "часы площадки врут больше чем на 30 секунд",
        "a site's clock is wrong by more than 30 seconds",
    ),
    SITE_REPLACED: (
        "у площадки другая база (замена или старая копия); её список читается заново",
        "a site has another database (replaced, or an old backup); its list is read anew",
    ),
    GATEWAY_CLOCK_OFF: (
        "часы этого сервера шлюза расходятся с часами базы больше чем на 30 секунд",
        "the clock of this host of the gateway differs from the database's by more than 30 seconds",
    ),
    DISK_FILLS: (
        "диск шлюза заполняется; полный, он не даст принимать снимки",
        "the gateway's own disk fills up; once it is full no images can be taken",
    ),
    REDIS_AWAY: (
        "Redis не отвечает: доставки идут медленнее, ничего не потеряно",
        "Redis does not answer: deliveries are slower, nothing is lost",
    ),
    REDIS_EVICTS: (
        "Redis может выбрасывать задания: нужен maxmemory-policy noeviction",
        "Redis may throw jobs away: it needs maxmemory-policy noeviction",
    ),
    NOTICES_WAIT: (
        "людям не удаётся сообщить о тревогах: почта или webhook не принимает",
        "people cannot be told of alarms: their mail or webhook does not take it",
    ),
    ADDRESS_LIST_UNKNOWN: (
        "правила называют список адресов, которого нет в region.toml",
        "rules name an address list that is not in region.toml",
    ),
    AUDIT_BROKEN: (
        "записи аудита изменены, удалены или вставлены",
        "lines of the audit were changed, taken out or put in",
    ),
    AUDIT_WAITS: (
        "сборщик аудита не принимает записи; они ждут в базе, ничего не потеряно",
        "the collector does not take the audit; its lines wait in the database, none is lost",
    ),
    CERTIFICATE_ENDS: (
        "скоро кончится срок сертификата или ключа; после него связь прервётся",
        "a certificate or key runs out soon; the connection ends with it",
    ),
    VERSION_HAS_HOLE: (
        "у площадки версия сервера с известной уязвимостью",
        "a site's server has a version with a known hole",
    ),
    SENDERS_WITHOUT_END: (
        "снимки площадки называют всё новые аппараты; лишние считаются как неназванные",
        "images of a site name ever new machines; those beyond a limit count as unnamed",
    ),
}
"""Kind -> (Russian, English)."""


@dataclass(frozen=True)
class Alarm:
    """One cause. There is at most one open alarm of a kind and subject.

    last_seen_at  when the cause was last seen; raised_at is when it was seen first
    cleared_at    None while it is open
    """

    kind: str
    subject: str
    facts: Mapping[str, Any]
    raised_at: datetime
    last_seen_at: datetime
    cleared_at: datetime | None
