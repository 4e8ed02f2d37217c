"""What the console says in words: groups of states, kinds of alarms and what to do, mistakes."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import (
    BadRequest,
    ForeignPage,
    NotAllowed,
    NotFound,
    RecordsUnavailable,
    RegisterChanged,
    SiteError,
    StaleForm,
    TooManyTries,
)
from gateway.model import alarms
from gateway.model.deliveries import WAITING_FOR_A_PERSON, State
from gateway.model.wording import Words

LANE_WORDS: Mapping[str, Words] = {
    "emergency": Words("экстренные", "emergency"),
    "routine": Words("обычные", "routine"),
    "bulk": Words("массовые", "bulk"),
}


@dataclass(frozen=True)
class Group:
    """States that a person takes as one."""

    words: Words
    states: tuple[State, ...]
    mark: str = ""


PEOPLE = tuple(sorted(WAITING_FOR_A_PERSON - {State.EXCLUDED}))
GROUPS: Mapping[str, Group] = {
    "open": Group(
        Words("незавершённые", "not ended"),
        (State.PLANNED, State.SENDING, State.SENT, State.VERIFYING, State.RETRY_WAIT, *PEOPLE),
    ),
    "due": Group(Words("ждут очереди", "due"), (State.PLANNED, State.SENT), "○"),
    "running": Group(Words("идут", "running"), (State.SENDING, State.VERIFYING), "►"),
    "again": Group(Words("не вышло, повторятся", "failed, tried again"), (State.RETRY_WAIT,), "↻"),
    "people": Group(Words("ждут человека", "wait for a person"), PEOPLE, "▲"),
    "excluded": Group(Words("исключены", "excluded"), (State.EXCLUDED,), "–"),
    "delivered": Group(Words("доставлены", "delivered"), (State.DELIVERED,), "●"),
    "superseded": Group(Words("заменены", "superseded"), (State.SUPERSEDED,), "–"),
    "all": Group(Words("все", "all"), ()),
}
MARKS: Mapping[State, str] = {
    state: group.mark for group in GROUPS.values() if group.mark for state in group.states
}
STATES_OF_ARRIVALS = {
    "seen": Words("принимаются", "arriving"),
    "unruled": Words("ждут правил", "wait for rules"),
    "held": Words("ждут человека", "held for a person"),
    "dropped": Words("никуда по правилу", "dropped by a rule"),
    "failed": Words("не удаётся решить", "cannot be judged"),
    "gone": Words("удалены в больнице", "gone from the hospital"),
    "planned": Words("отправлены", "sent by rules"),
    "exempt": Words("уже на месте", "in place already"),
}

ACTS: Mapping[str, Words] = {
    "retry": Words("Повторить", "Try again"),
    "reroute": Words("Отправить в другое место", "Send elsewhere"),
    "exclude": Words("Не отправлять", "Do not send"),
}
DONE: Mapping[str, Words] = {
    "retry": Words("Повторяются", "Tried again"),
    "reroute": Words("Отправляются в другое место", "Sent elsewhere"),
    "exclude": Words("Исключены", "Excluded"),
    "mend": Words("Отправляются снова", "Sent again"),
    "judge": Words("Решаются заново", "Judged again"),
    "wake": Words("Приёмник пробуем снова; его доставок", "Tried again; its deliveries"),
    "close": Words("Закрыто тревог", "Alarms closed"),
}

PROBLEMS: Mapping[type[Exception], tuple[Words, Words]] = {
    RegisterChanged: (
        Words("Реестр изменился", "The register has changed"),
        Words(
            "Пока вы смотрели, кто-то другой записал в реестр. Ничего из вашего не записано. "
            "Вернитесь, посмотрите, что там теперь, и повторите.",
            "While you were looking somebody else wrote into the register. Nothing of yours was "
            "written. Go back, look at what is there now, and try again.",
        ),
    ),
    RecordsUnavailable: (
        Words("База данных не отвечает", "The database is away"),
        Words(
            "Показать нечего, но ничего не потеряно: доставки стоят в базе и продолжатся сами. "
            "Проверьте, что PostgreSQL запущен, на его диске есть место и адрес в "
            "GATEWAY_DATABASE_URL верен; для SQLite — что папка GATEWAY_STATE_DIR доступна и не "
            "заполнена. Страница оживёт сама.",
            "There is nothing to show, but nothing is lost: deliveries stand in the database and "
            "go on by themselves. See that PostgreSQL runs, its disk has room, and "
            "GATEWAY_DATABASE_URL is right; for SQLite, that GATEWAY_STATE_DIR is there and not "
            "full. This page comes back by itself.",
        ),
    ),
    StaleForm: (
        Words("Страница слишком стара", "The page is too old"),
        Words(
            "Ничего не сделано: страница открыта давно, или браузер не хранит её cookie. Обновите "
            "её и повторите.",
            "Nothing was done: the page was opened long ago, or the browser keeps none of its "
            "cookies. Load it again and repeat.",
        ),
    ),
    ForeignPage: (
        Words("Форма пришла не со страницы шлюза", "The form was sent by another page"),
        Words(
            "Ничего не сделано. Откройте консоль по её собственному адресу и повторите; адрес "
            "задаёт GATEWAY_PUBLIC_URL:",
            "Nothing was done. Open the console at its own address, which GATEWAY_PUBLIC_URL "
            "sets, and repeat:",
        ),
    ),
    NotAllowed: (
        Words("Вам это не разрешено", "You may not do this"),
        Words(
            "Консоль открыта тем, кто отвечает за сети больниц и региона. Войдите под другим "
            "именем.",
            "The console is for those who run a hospital's or the region's network. Sign in as "
            "somebody else.",
        ),
    ),
    TooManyTries: (
        Words("Слишком часто", "Too often"),
        Words(
            "Проверять соединение можно пять раз в минуту: чужой сервер не надо осаждать. "
            "Подождите минуту.",
            "A connection may be tested five times a minute: a server is not to be besieged. "
            "Wait a minute.",
        ),
    ),
    NotFound: (
        Words("Такого здесь нет", "There is no such thing here"),
        Words(
            "Шлюз этого не видел, или оно убрано из region.toml. Проверьте адрес.",
            "The gateway has never seen it, or region.toml does not name it any more. Check the "
            "address.",
        ),
    ),
    SiteError: (
        Words("Больница не отвечает", "The hospital does not answer"),
        Words(
            "На этот вопрос может ответить только её сервер. Повторите, когда он ответит; "
            "доставки при этом не теряются.",
            "Only its own server can answer this. Try again when it does; no delivery is lost.",
        ),
    ),
    BadRequest: (
        Words("Так нельзя", "This cannot be"),
        Words("Ничего не сделано. Исправьте это поле:", "Nothing was done. Mend this field:"),
    ),
    Exception: (
        Words("Не получилось", "It did not work"),
        Words("Подробности в журнале шлюза.", "The gateway's log says more."),
    ),
}
FIELDS: Mapping[str, Words] = {
    "state": Words("состояние", "state"),
    "destination": Words("приёмник", "destination"),
    "site": Words("больница", "hospital"),
    "number": Words("номер", "number"),
    "lane": Words("очередь", "lane"),
    "study": Words("исследование (UID)", "study (UID)"),
    "after": Words("страница", "page"),
    "act": Words("действие", "act"),
    "to": Words("куда отправить", "where to"),
    "reason": Words("причина", "reason"),
    "done": Words("что сделано", "what was done"),
    "count": Words("сколько", "how many"),
    "delivery": Words("доставка", "delivery"),
    "subject": Words("тревога", "alarm"),
    "form": Words("форма", "form"),
}


def field_words(field: str) -> Words:
    """A field as a person knows it."""
    return FIELDS.get(field, Words(field, field))


RISKS: Mapping[str, Words] = {
    "plain_http": Words(
        "снимки и пароль идут без шифрования", "images and the password go unencrypted"
    ),
    "answers_anyone": Words(
        "снимки отдаются без пароля (AuthenticationEnabled = false)",
        "images are given without a password (AuthenticationEnabled = false)",
    ),
}
NEXT: Mapping[str, Words] = {
    alarms.LINKS_GUESSED: Words(
        "Подобрать секрет нельзя (256 бит), попытки замедлены. Найдите адрес в `/audit` "
        "(open_link) и закройте его на границе сети; тревога уйдёт через час тишины.",
        "A secret cannot be guessed (256 bits), and tries are slowed down. Find the address in "
        "`/audit` (open_link) and shut it out at the network's edge; the alarm goes after an "
        "hour of silence.",
    ),
    alarms.SITE_UNGUARDED: Words(
        "Включите у Orthanc пароль и TLS, или впишите в region.toml `signed`, если эту сеть "
        "защищает другое; тревога уйдёт сама.",
        "Switch on password and TLS at the Orthanc, or write `signed` into region.toml if "
        "something else guards that network; the alarm goes by itself.",
    ),
    alarms.EMERGENCY_ACCESS: Words(
        "Аудитор на следующий день смотрит `/audit/emergencies` и пишет, что показала проверка; "
        "тревога уйдёт сама. Если доступ взят зря, заприте учётную запись: `gateway users lock`.",
        "On the next day an auditor looks at `/audit/emergencies` and says what the review found; "
        "the alarm goes by itself. If it was taken without need: `gateway users lock`.",
    ),
    alarms.STUDY_OF_TWO_PATIENTS: Words(
        "Сравните исследование в больницах и исправьте данные там, где ошибка; тревога уйдёт сама.",
        "Compare the study at the hospitals and mend the data where they are wrong; the alarm goes "
        "by itself.",
    ),
    alarms.TORN_LINK: Words(
        "Посмотрите номера: gateway persons list; разведите их: gateway persons separate.",
        "See the identifiers: gateway persons list; take them apart: gateway persons separate.",
    ),
    alarms.REFUSED_CONTENT: Words(
        "Спросите отправителя, какая из двух версий верна, и закройте тревогу с причиной.",
        "Ask the sender which of the two is right, then close the alarm with a reason.",
    ),
    alarms.REFUSED_PATIENT: Words(
        "Спросите отправителя, чьё это исследование, и закройте тревогу с причиной.",
        "Ask the sender whose study it is, then close the alarm with a reason.",
    ),
    alarms.ANSWERS_OTHER: Words(
        "Выясните, чей сервер отвечает по адресу этой больницы в region.toml, и закройте тревогу с "
        "причиной.",
        "Find out whose server answers at this hospital's address in region.toml, then close the "
        "alarm with a reason.",
    ),
    alarms.COPIES_DIFFER: Words(
        "Сравните снимки по адресам этих больниц, оставьте верные, замените или удалите другие и "
        "закройте тревогу с причиной.",
        "Compare the images at these hospitals' own addresses, keep what is right, replace or "
        "delete the others, then close the alarm with a reason.",
    ),
    alarms.ARRIVALS_WAIT: Words(
        "Проверьте, что keeper работает и больница отвечает.",
        "See that the keeper runs and the hospital answers.",
    ),
    alarms.STUDIES_WITHOUT_RULES: Words(
        "Включите правила больницы; ждущие исследования поедут сами.",
        "Activate rules of the hospital; what waits goes by itself.",
    ),
    alarms.STUDIES_NOT_JUDGED: Words(
        "Откройте список: у каждого исследования названа причина; шлюз пробует снова.",
        "Open the list: each study names its reason; the gateway tries again.",
    ),
    alarms.STUDIES_NOT_PLANNED: Words(
        "Это ошибка шлюза: сохраните журнал keeper и сообщите разработчикам.",
        "A fault of the gateway: keep the keeper's log and report it.",
    ),
    alarms.SOURCE_LOST: Words(
        "Восстановите исследования в больнице и повторите, или исключите с причиной.",
        "Restore the studies at the hospital and try again, or exclude them with a reason.",
    ),
    alarms.DELIVERIES_PARKED: Words(
        "Откройте их: причина названа у каждой. Устраните её и повторите все разом.",
        "Open them: each names its reason. Mend it, then try all of them again.",
    ),
    alarms.DELIVERIES_IN_CONFLICT: Words(
        "Решите, какая версия верна: исправьте приёмник и повторите, или исключите.",
        "Decide which is right: mend the destination and try again, or exclude.",
    ),
    alarms.DELIVERIES_STUCK: Words(
        "Проверьте, что worker каждой очереди запущен и Redis отвечает.",
        "See that a worker of each queue runs and Redis answers.",
    ),
    alarms.DESTINATION_SILENT: Words(
        "Проверьте соединение; когда приёмник оживёт, отправка продолжится сама.",
        "Test the connection; sending goes on by itself when it is back.",
    ),
    alarms.DESTINATION_BLOCKED: Words(
        "Исправьте пароль или настройку в region.toml, проверьте соединение; "
        "продолжится само или по кнопке «Пробовать снова».",
        "Mend password or configuration in region.toml and test the connection; it goes on by "
        "itself, or by the button.",
    ),
    alarms.DESTINATION_UNKNOWN: Words(
        "Впишите получателя в region.toml или отправьте эти доставки в другое место.",
        "Add it to region.toml, or send these deliveries elsewhere.",
    ),
    alarms.EMERGENCY_LATE: Words(
        "Откройте экстренные: видно, на чём они стоят. Есть ли свободный worker emergency?",
        "Open the emergencies and see where they stand. Is an emergency worker free?",
    ),
    alarms.NAME_NOT_RESOLVED: Words(
        "Проверьте имя больницы в region.toml и сервер имён (DNS); тревога уйдёт сама.",
        "Check the hospital's name in region.toml and the name server (DNS); the alarm goes by "
        "itself.",
    ),
    alarms.EXECUTABLE_PREAMBLE: Words(
        "Выясните, какой аппарат или человек прислал эти файлы, и закройте тревогу с причиной.",
        "Find out which device or person sent these files, then close the alarm with a reason.",
    ),
    alarms.DELIVERED_LOST: Words(
        "Спросите, не восстанавливали ли приёмник из копии и не удаляют ли там снимки.",
        "Ask whether the destination was restored from a backup, or images are deleted there.",
    ),
    alarms.DELIVERIES_OLD: Words(
        "Откройте их: у каждой видно, чего она ждёт; хватает ли часов и канала?",
        "Open them: each shows what it waits for. Are its hours and its line enough?",
    ),
    alarms.SOURCE_RECYCLES: Words(
        "Ускорьте отправку из этой больницы или увеличьте место её Orthanc.",
        "Speed up what leaves this hospital, or give its Orthanc more room.",
    ),
    alarms.CERTIFICATE_ENDS: Words(
        "Замените файл до срока: новый берётся сам, свой сертификат шлюза — после SIGHUP; ключ "
        "токенов: gateway keys new.",
        "Replace the file in time: a new one is taken by itself, the gateway's own after SIGHUP; "
        "the key of tokens: gateway keys new.",
    ),
    alarms.VERSION_HAS_HOLE: Words(
        "Обновите Orthanc этой больницы; страница «Версии» называет уязвимости.",
        "Update this hospital's Orthanc; the page Versions names the holes.",
    ),
    alarms.SENDERS_WITHOUT_END: Words(
        "Спросите площадку, что пишет в снимки всё новые имена аппаратов.",
        "Ask the site what writes ever new names of machines into its images.",
    ),
    alarms.SITE_SILENT: Words(
        "Проверьте сервер больницы и линию до неё; продолжится само.",
        "Check the hospital's server and the line to it; all goes on by itself.",
    ),
    alarms.SITE_CLOCK_OFF: Words(
        "Настройте на сервере больницы NTP; тревога уйдёт после следующего опроса.",
        "Set NTP up at the hospital's server; the alarm goes with the next probe.",
    ),
    alarms.SITE_REPLACED: Words(
        "Спросите больницу, что случилось с её Orthanc: всё ли на месте. Дочитается само.",
        "Ask the hospital what happened to its Orthanc and whether all is there; it is read anew.",
    ),
    alarms.GATEWAY_CLOCK_OFF: Words(
        "Настройте NTP на этом сервере; до того шлюз живёт по часам базы.",
        "Set NTP up on this host; until then the gateway goes by the database's clock.",
    ),
    alarms.DISK_FILLS: Words(
        "Освободите или добавьте место там, где лежит GATEWAY_STATE_DIR (или кэш).",
        "Free or add room where GATEWAY_STATE_DIR (or the cache) lies.",
    ),
    alarms.REDIS_AWAY: Words(
        "Запустите Redis; доставки продолжатся сами.",
        "Start Redis; deliveries go on by themselves.",
    ),
    alarms.REDIS_EVICTS: Words(
        "Задайте Redis maxmemory-policy noeviction и перезапустите worker.",
        "Set Redis to maxmemory-policy noeviction and restart the workers.",
    ),
    alarms.NOTICES_WAIT: Words(
        "Проверьте почтовый сервер (GATEWAY_SMTP_…) и адреса [[notify]] в region.toml.",
        "Check the mail server (GATEWAY_SMTP_…) and the addresses of [[notify]] in region.toml.",
    ),
    alarms.ADDRESS_LIST_UNKNOWN: Words(
        "Впишите список в [[notify]] файла region.toml или уберите его из правила.",
        "Add the list to [[notify]] in region.toml, or take it out of the rule.",
    ),
    alarms.AUDIT_BROKEN: Words(
        "Сохраните базу и папку audit как есть, выполните gateway audit verify и сообщите "
        "отвечающему за безопасность; сравните с копией, которая ушла сборщику.",
        "Keep the database and the audit folder as they are, run gateway audit verify and tell who "
        "answers for security; compare with what the collector has.",
    ),
    alarms.AUDIT_WAITS: Words(
        "Проверьте адрес и сертификаты GATEWAY_AUDIT_SYSLOG_… и сам сборщик; дальше уйдёт само.",
        "Check the address and certificates of GATEWAY_AUDIT_SYSLOG_… and the collector; it goes "
        "on by itself.",
    ),
}
"""What to do about an alarm."""
