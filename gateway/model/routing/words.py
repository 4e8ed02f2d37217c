"""Rules, mistakes and differences in words, Russian and English, for people who do not program.

One table for each kind of thing; a test checks that every code, field, operator and action has
both languages.
"""

from typing import Any, Literal

from pydicom.datadict import dictionary_description

from gateway.dicom.attributes import tag_of
from gateway.model.routing.actions import (
    Action,
    Deidentify,
    Drop,
    Hold,
    MapTag,
    Notify,
    RemoveTag,
    Send,
    SetTag,
)
from gateway.model.routing.conditions import Comparison, Condition, Group
from gateway.model.routing.decide import NO_RULE_SET, UNREADABLE
from gateway.model.routing.fields import ALREADY_AT
from gateway.model.routing.mistakes import Mistake, Path
from gateway.model.routing.rule_sets import Rule, RuleSet

Language = Literal["ru", "en"]
Pair = tuple[str, str]
LANGUAGES: tuple[Language, Language] = ("ru", "en")

MISTAKES: dict[str, Pair] = {
    "not_yaml": (
        "это не YAML, который мы читаем: проверьте отступы, кавычки и скобки",
        "this is no YAML that we read: check indents, quotes and brackets",
    ),
    "key_twice": ("ключ написан дважды; оставьте один", "the key stands twice; leave one"),
    "not_a_table": ("здесь нужны ключи и значения", "keys and values are wanted here"),
    "not_a_list": ("здесь нужен список: [a, b]", "a list is wanted here: [a, b]"),
    "list_length": ("в списке должно быть {} значений", "the list must have {} entries"),
    "unknown_key": ("такого ключа нет; есть: {}", "there is no such key; there are: {}"),
    "missing_key": ("не указано", "is missing"),
    "not_a_text": ("здесь нужен непустой текст", "a text that is not empty is wanted here"),
    "quote_text": (
        'возьмите значение в кавычки: "0612"; иначе это число',
        'put the value in quotes: "0612"; else it is a number',
    ),
    "too_long": ("слишком длинно; не больше {} знаков", "is too long; at most {} characters"),
    "unprintable": (
        "есть невидимые знаки или переводы строк; уберите их",
        "has invisible characters or line breaks; remove them",
    ),
    "not_a_choice": ("возможны только: {}", "must be one of: {}"),
    "not_a_flag": ("возможны только true и false", "must be true or false"),
    "not_a_number": ("здесь нужно число без кавычек", "a number without quotes is wanted here"),
    "out_of_range": ("число должно быть в пределах {}", "the number must be within {}"),
    "not_a_date": (
        "здесь нужна дата, например 2026-01-31", "a date is wanted here, like 2026-01-31",
    ),
    "not_a_time": ('здесь нужно время, например "08:30"', 'a time is wanted here, like "08:30"'),
    "span_reversed": ("начало позже конца; поменяйте их местами", "starts after it ends; swap"),
    "bad_pattern": (
        "такое выражение не разобрать (RE2, без обратных ссылок и просмотра вперёд)",
        "this pattern cannot be read (RE2: no back references, no look-around)",
    ),
    "no_value_wanted": ("у этого условия нет значения; уберите его", "takes no value; remove it"),
    "unknown_field": (
        "такого поля нет: {}; нужен ключ DICOM (например StudyDescription), тег с указанием vr или "
        "вычисляемое поле",
        "there is no field {}; write a DICOM keyword (like StudyDescription), a tag with its vr, "
        "or a computed field",
    ),
    "unknown_operator": ("для этого поля возможны: {}", "this field takes: {}"),
    "no_conditions": (
        "нет условий; напишите all, any или none, или always для всех исследований",
        "has no conditions; write all, any or none, or always for every study",
    ),
    "too_many_conditions": (
        "слишком много условий; не больше {}", "too many conditions; at most {}",
    ),
    "too_deep": ("слишком много вложенных групп; не больше {}", "groups are too deep; at most {}"),
    "one_of_target_targets": (
        "укажите либо target, либо targets", "write either target or targets",
    ),
    "unknown_destination": (
        "такого получателя нет в region.toml; есть: {}",
        "region.toml has no such destination; there are: {}",
    ),
    "named_twice": ("получатель назван дважды", "a destination is named twice"),
    "no_id": (
        "строчные латинские буквы, цифры и дефис, например region-archive",
        "small Latin letters, digits and hyphens, like region-archive",
    ),
    "untouchable": (
        "атрибут {} правило менять не может: без него исследование не сверить или не прочесть",
        "a rule cannot change {}: without it the study could not be compared or read",
    ),
    "unknown_place": (
        "в ${{...}} может стоять ключ DICOM или: {}", "${{...}} takes a DICOM keyword or: {}",
    ),
    "ends_before_end": (
        "hold и drop могут быть только последним действием", "hold and drop can only come last",
    ),
    "edit_without_send": (
        "после изменения нет отправки; поставьте send после него",
        "no send follows this change; put the send after it",
    ),
    "otherwise_decides_nothing": (
        "последнее правило должно отправить или задержать исследование",
        "the last rule must send the study or hold it",
    ),
    "no_otherwise": (
        "нет последнего правила: что делать с остальными исследованиями (send или hold)",
        "the last rule is missing: what happens to all other studies (send or hold)",
    ),
    "otherwise_of_ministry": (
        "последнее правило есть только у больницы", "only a hospital has a last rule",
    ),
    "id_twice": (
        "правило {} уже есть; у каждого правила свой id", "there is a rule {} already; ids differ",
    ),
    "no_window": (
        'нужно время суток, например "20:00-06:00"', 'hours of the day are wanted: "20:00-06:00"',
    ),
    "no_zone": (
        "такого часового пояса нет; например Asia/Yekaterinburg или site",
        "there is no such time zone; write one like Asia/Yekaterinburg, or site",
    ),
}  # fmt: skip

FIELDS: dict[str, Pair] = {
    "site": ("больница", "hospital"),
    "source_aet": ("AE отправителя", "sender's AE title"),
    "source_ip": ("адрес отправителя", "sender's address"),
    "received_at.hour": ("час поступления", "hour of arrival"),
    "received_at.weekday": ("день недели поступления", "weekday of arrival"),
    "received_at.holiday": ("поступило в праздник", "arrived on a holiday"),
    "study_age_days": ("возраст исследования, дней", "age of the study, days"),
    "patient_age_years": ("возраст пациента, лет", "age of the patient, years"),
    "instance_count": ("число снимков", "number of instances"),
    "size_mb": ("размер, МБ", "size, MB"),
    "ModalitiesInStudy": ("модальности", "modalities"),
    "has_report": ("есть заключение", "has a report"),
    "transfer_syntax": ("способ сжатия", "transfer syntax"),
    "charset_ok": ("кодировка читается", "character set is readable"),
    "Modality": ("модальность", "modality"),
    "StudyDate": ("дата исследования", "study date"),
    "StudyTime": ("время исследования", "study time"),
    "StudyDescription": ("описание исследования", "study description"),
    "SeriesDescription": ("описание серии", "series description"),
    "BodyPartExamined": ("область тела", "body part"),
    "PatientName": ("имя пациента", "patient name"),
    "PatientID": ("номер пациента", "patient ID"),
    "IssuerOfPatientID": ("кто выдал номер пациента", "issuer of the patient ID"),
    "PatientSex": ("пол пациента", "patient sex"),
    "PatientBirthDate": ("дата рождения", "birth date"),
    "AccessionNumber": ("номер направления", "accession number"),
    "InstitutionName": ("учреждение", "institution"),
    "StationName": ("станция", "station"),
    "Manufacturer": ("изготовитель", "manufacturer"),
    "ManufacturerModelName": ("модель аппарата", "device model"),
    "ReferringPhysicianName": ("направивший врач", "referring physician"),
    "SOPClassUID": ("вид объекта", "kind of object"),
}

OPERATORS: dict[str, Pair] = {
    "equals": ("равно {}", "is {}"),
    "in": ("— одно из: {}", "is one of: {}"),
    "contains": ("содержит {}", "contains {}"),
    "starts": ("начинается с {}", "starts with {}"),
    "ends": ("кончается на {}", "ends with {}"),
    "matches": ("подходит под выражение {}", "matches the pattern {}"),
    "any_of": ("— есть хотя бы одно из: {}", "has any of: {}"),
    "all_of": ("— есть все: {}", "has all of: {}"),
    "none_of": ("— нет ни одного из: {}", "has none of: {}"),
    "=": ("равно {}", "is {}"),
    "<": ("меньше {}", "is below {}"),
    "≤": ("не больше {}", "is at most {}"),
    ">": ("больше {}", "is above {}"),
    "≥": ("не меньше {}", "is at least {}"),
    "before": ("раньше {}", "is before {}"),
    "after": ("позже {}", "is after {}"),
    "between": ("от {0} до {1}", "is from {0} to {1}"),
    "within_last_days": ("за последние {} дн.", "is within the last {} days"),
    "has_item": ("есть код {}", "has the code {}"),
    "is": ("{}", "is {}"),
    "empty": ("пусто", "is empty"),
    "missing": ("отсутствует", "is missing"),
}

REFUSALS: dict[str, Pair] = {
    "no_such_version": (
        "такой версии нет; список: gateway rules list", "no such version; see gateway rules list",
    ),
    "starts_in_the_past": (
        "время начала уже прошло; укажите будущее", "the start has passed; give a later one",
    ),
    "not_to_approve": (
        "одобрить нельзя: такой активации нет, она уже одобрена, не ждёт второго, "
        "ваша же, или после неё включили другую",
        "cannot be approved: unknown, approved already, waits for nobody, your own, "
        "or overtaken by a later one",
    ),
}  # fmt: skip

JOINS: dict[str, Pair] = {
    "all": ("всё верно: ", "all of: "),
    "any": ("верно хотя бы одно: ", "any of: "),
    "none": ("неверно всё: ", "none of: "),
}

STATES: dict[str, Pair] = {
    "draft": ("черновик", "draft"),
    "shadow": ("проба", "shadow"),
    "active": ("действует", "active"),
    "retired": ("снято", "retired"),
}

LANES: dict[str, Pair] = {
    "emergency": ("экстренно", "emergency"),
    "routine": ("планово", "routine"),
    "bulk": ("в фоне", "bulk"),
}

OUTCOMES: dict[str, Pair] = {
    "true": ("верно", "true"),
    "false": ("неверно", "false"),
    "missing": ("отсутствует", "missing"),
    "unread": ("не прочитано", "could not be read"),
}

REASONS: dict[str, Pair] = {
    NO_RULE_SET: ("у больницы нет правил", "the hospital has no rules"),
    UNREADABLE: (
        "поле, по которому судит правило, не читается",
        "a field that the rule judges cannot be read",
    ),
}  # fmt: skip


def _of(pair: Pair, language: Language) -> str:
    return pair[LANGUAGES.index(language)]


def mistake_in_words(mistake: Mistake, language: Language) -> str:
    """ "rules[3].when.all[1].op: для этого поля возможны: equals, in"; list places count from 1."""
    sentence = _of(MISTAKES[mistake.code], language).format(mistake.detail)
    where = place_in_words(mistake.path)
    return f"{where}: {sentence}" if where else sentence


def refusal_in_words(why: str, language: Language) -> str:
    """Why a version or an activation cannot be used; a stored version may name a mistake too."""
    return _of({**MISTAKES, **REFUSALS}[why], language).format("")


def reason_in_words(reason: str, language: Language) -> str:
    """Why a study is held or dropped: the author's own words, or ours."""
    return _of(REASONS[reason], language) if reason in REASONS else reason


def place_in_words(path: Path) -> str:
    text = ""
    for step in path:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def field_in_words(name: str, language: Language) -> str:
    if name in FIELDS:
        return _of(FIELDS[name], language)
    if name.startswith(ALREADY_AT):
        pair = ("уже есть в {}", "is already at {}")
        return _of(pair, language).format(name.removeprefix(ALREADY_AT))
    tag = tag_of(name)
    try:
        return dictionary_description(int(tag, 16)) if tag else name
    except KeyError:
        return name


def _value(value: Any, language: Language) -> str:
    if isinstance(value, bool):
        return _of(("да", "yes") if value else ("нет", "no"), language)
    if isinstance(value, tuple):
        return ", ".join(_value(item, language) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def condition_in_words(condition: Condition, language: Language) -> str:
    """A condition as one sentence, groups in brackets."""
    if isinstance(condition, Comparison):
        return comparison_in_words(condition, language)
    if not condition.members:
        return _of(("любое исследование", "every study"), language)
    parts = [_member_in_words(member, language) for member in condition.members]
    if condition.join == "all":
        return _of((" и ", " and "), language).join(parts)
    return _of(JOINS[condition.join], language) + "; ".join(parts)


def _member_in_words(member: Condition, language: Language) -> str:
    text = condition_in_words(member, language)
    plain_list = isinstance(member, Group) and member.join == "all"
    return f"({text})" if isinstance(member, Group) and not plain_list else text


def comparison_in_words(comparison: Comparison, language: Language) -> str:
    given = comparison.given
    if comparison.operator.name == "has_item" and isinstance(given, tuple):
        given = " ".join(str(value) for _, value in given)
    ends = given if comparison.operator.name == "between" else (given,)
    pattern = _of(OPERATORS[comparison.operator.name], language)
    values = [_value(each, language) for each in ends]
    return f"{field_in_words(comparison.field.name, language)} {pattern.format(*values)}"


def action_in_words(action: Action, language: Language) -> str:
    match action:
        case Send(targets, verify, failover):
            text = _of(("отправить в {}", "send to {}"), language).format(", ".join(targets))
            text += (
                _of((", сверка {}", ", verify by {}"), language).format(verify) if verify else ""
            )
            other = _of((", если молчит — в {}", ", if it is silent to {}"), language)
            return text + (other.format(failover) if failover else "")
        case SetTag(keyword, value):
            pair = ("записать «{1}» в поле «{0}»", 'write "{1}" into {0}')
            return _of(pair, language).format(field_in_words(keyword, language), value)
        case RemoveTag(keyword):
            return _of(("стереть поле «{}»", "remove {}"), language).format(
                field_in_words(keyword, language)
            )
        case MapTag(keyword, mapping):
            pairs = ", ".join(f"{old} → {new}" for old, new in mapping)
            pair = ("заменить в поле «{0}»: {1}", "replace in {0}: {1}")
            return _of(pair, language).format(field_in_words(keyword, language), pairs)
        case Deidentify():
            return _of(("обезличить", "de-identify"), language)
        case Notify(list_id):
            return _of(("сообщить: {}", "notify {}"), language).format(list_id)
        case Hold(reason):
            return _of(("задержать: {}", "hold: {}"), language).format(reason)
        case Drop(reason):
            return _of(("не отправлять: {}", "do not send: {}"), language).format(reason)


def rule_in_words(rule: Rule, language: Language) -> str:
    """ "Если …, то …": what an author reads back before the rule counts."""
    then = ", ".join(action_in_words(action, language) for action in rule.then)
    when = condition_in_words(rule.when, language)
    text = _of(("Если {0}, то {1}", "If {0}, then {1}"), language).format(when, then)
    lane = rule.schedule.lane
    if lane != "routine":
        text += f" ({_of(LANES[lane], language)})"
    if rule.schedule.windows:
        text += _of(("; время: {}", "; hours: {}"), language).format(
            ", ".join(rule.schedule.windows)
        )
    return text + (_of(("; дальше не смотреть", "; then stop"), language) if rule.stop else "")


def difference_in_words(old: RuleSet | None, new: RuleSet, language: Language) -> list[str]:
    """What a new version changes, one sentence each; [] if nothing."""
    before = {rule.rule_id: rule for rule in old.rules} if old else {}
    after = {rule.rule_id: rule for rule in new.rules}
    lines: list[str] = []
    for rule_id, rule in after.items():
        if rule_id not in before:
            pair = ("добавлено правило «{0}»: {1}", 'added rule "{0}": {1}')
            lines.append(_of(pair, language).format(rule.name, rule_in_words(rule, language)))
        else:
            lines += _changes(before[rule_id], rule, language)
    for rule_id, rule in before.items():
        if rule_id not in after:
            pair = ("убрано правило «{}»", 'removed rule "{}"')
            lines.append(_of(pair, language).format(rule.name))
    kept = [rule_id for rule_id in before if rule_id in after]
    if kept != [rule_id for rule_id in after if rule_id in before]:
        lines.append(_of(("изменён порядок правил", "the order of rules changed"), language))
    if old is not None and old.otherwise != new.otherwise:
        pair = ("последнее правило теперь: {}", "the last rule is now: {}")
        words = ", ".join(action_in_words(action, language) for action in new.otherwise)
        lines.append(_of(pair, language).format(words))
    return lines


def _changes(old: Rule, new: Rule, language: Language) -> list[str]:
    lines: list[str] = []
    if old.name != new.name:
        pair = ("переименовано в «{}»", 'renamed to "{}"')
        lines.append(_of(pair, language).format(new.name))
    if old.state != new.state:
        pair = ("состояние: {0} → {1}", "state: {0} → {1}")
        words = (_of(STATES[old.state], language), _of(STATES[new.state], language))
        lines.append(_of(pair, language).format(*words))
    lines += _added_and_gone(_conditions(old, language), _conditions(new, language), language)
    lines += _added_and_gone(
        [action_in_words(action, language) for action in old.then],
        [action_in_words(action, language) for action in new.then],
        language,
    )
    rest = (old.level, old.stop, old.trigger, old.schedule, old.when, old.then)
    if not lines and rest != (new.level, new.stop, new.trigger, new.schedule, new.when, new.then):
        pair = ("теперь: {}", "is now: {}")
        lines.append(_of(pair, language).format(rule_in_words(new, language)))
    pair = ("правило «{0}»: {1}", 'rule "{0}": {1}')
    return [_of(pair, language).format(old.name, line) for line in lines]


def _conditions(rule: Rule, language: Language) -> list[str]:
    """Conditions with the place that gives them their meaning: "… (none)"."""
    found: list[str] = []

    def walk(condition: Condition, join: str) -> None:
        if isinstance(condition, Comparison):
            mark = "" if join == "all" else _of(JOINS[join], language)
            found.append(mark + comparison_in_words(condition, language))
            return
        for member in condition.members:
            walk(member, condition.join)

    walk(rule.when, "all")
    return found


def _added_and_gone(old: list[str], new: list[str], language: Language) -> list[str]:
    added = _of(("добавлено: {}", "added: {}"), language)
    gone = _of(("убрано: {}", "removed: {}"), language)
    lines = [added.format(each) for each in new if each not in old]
    return lines + [gone.format(each) for each in old if each not in new]
