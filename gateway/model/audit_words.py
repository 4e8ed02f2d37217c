"""Lines of the audit in words, and as a table for other programs (CSV). Pure."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping

from gateway.model.access import Action
from gateway.model.audit import SEAL, VERIFY, Row, as_dict
from gateway.model.wording import Words

ACTIONS: Mapping[str, Words] = {
    Action.SEARCH: Words("поиск", "search"),
    Action.RETRIEVE: Words("получение снимков", "retrieve"),
    Action.STORE: Words("сохранение снимков", "store"),
    "sign_in": Words("вход", "sign-in"),
    "step_up": Words("подтверждение личности", "proof of identity anew"),
    "sign_out": Words("выход", "sign-out"),
    "token": Words("токен программы", "token"),
    "viewer": Words("допуск программы просмотра", "viewer let in"),
    "password": Words("смена пароля", "password"),
    "authenticator": Words("настройка приложения с кодами", "authenticator"),
    "open_link": Words("вход пациента по ссылке", "patient's link opened"),
    "share_link": Words("ссылка для пациента", "link made"),
    "share_grant": Words("разрешение коллеге", "grant made"),
    "share_revoke": Words("отзыв доступа", "link or grant revoked"),
    Action.SHARE: Words("просмотр и отзыв доступа", "links and grants"),
    Action.GIVE_ACCESS: Words("доступ по ссылке или разрешению", "link or grant"),
    Action.BREAK_GLASS: Words("экстренный доступ", "emergency access"),
    Action.LINK_PERSONS: Words("связь номеров пациента", "link of identifiers"),
    Action.WRITE_RULES: Words("изменение правил", "rule change"),
    Action.ACTIVATE_RULES: Words("включение правил", "rule activation"),
    Action.APPROVE_RULES: Words("утверждение правил", "rule approval"),
    Action.RESEND: Words("действие с доставками", "act on deliveries"),
    Action.READ_RULES: Words("чтение правил", "reading rules"),
    Action.READ_DELIVERIES: Words("чтение доставок", "reading deliveries"),
    Action.READ_FIGURES: Words("чтение показателей", "reading figures"),
    Action.READ_REGISTER: Words("чтение реестра аппаратов", "reading the register of equipment"),
    Action.WRITE_REGISTER: Words("запись в реестр аппаратов", "writing the register of equipment"),
    Action.READ_AUDIT: Words("чтение аудита", "reading the audit"),
    Action.MANAGE_ACCOUNTS: Words("учётные записи", "accounts"),
    Action.SEE_STATUS: Words("состояние площадок", "status of sites"),
    Action.VIEW: Words("просмотрщик", "viewer"),
    Action.OWN_ACCOUNT: Words("своя учётная запись", "own account"),
    Action.OWN_PROOF: Words("свои коды входа", "own authenticator"),
    "command": Words("команда на сервере", "command at the server"),
    VERIFY: Words("проверка аудита", "audit verified"),
    SEAL: Words("печать аудита", "audit sealed"),
}
OUTCOMES: Mapping[str, Words] = {
    "began": Words("начато", "began"),
    "done": Words("выполнено", "done"),
    "failed": Words("не удалось", "failed"),
    "cut": Words("оборвано", "cut"),
    "refused": Words("отказано", "refused"),
    "granted": Words("отдаёт nginx", "given by nginx"),
    "withdrawn": Words("отозвано", "withdrawn"),
}
COLUMNS = (
    "number", "at", "actor", "kind", "purpose", "action", "outcome", "reason", "status", "site_id",
    "study_uid", "instances", "size_bytes", "target", "address", "request", "entry_id", "chain",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def words_of(known: Mapping[str, Words], code: str) -> Words:
    """In both languages; a code that nobody has words for stays a code."""
    return known.get(code) or Words(code, code)


def to_csv(rows: Iterable[Row]) -> Iterator[bytes]:
    """A head and one line for each row, UTF-8 with a mark that spreadsheets know it by.

    Nothing in it can be taken for a formula (trust.md H37).
    """
    yield b"\xef\xbb\xbf" + _line(COLUMNS)
    for row in rows:
        told = as_dict(row.entry) | {"number": row.number, "chain": row.chain}
        yield _line([_harmless(str(told.get(name, ""))) for name in COLUMNS])


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _line(values: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(values)
    return line.getvalue().encode()
