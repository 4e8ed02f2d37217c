"""What the rule editor offers and says: fields in groups, values to pick, actions, mistakes."""

from collections.abc import Mapping

from gateway.model.routing.mistakes import Mistake
from gateway.model.routing.words import (
    LANES,
    MISTAKES,
    OPERATORS,
    STATES,
    field_in_words,
    mistake_in_words,
)
from gateway.model.wording import Words

OTHER = "other"
FIELD_GROUPS: tuple[tuple[Words, tuple[str, ...]], ...] = (
    (
        Words("Исследование", "Study"),
        (
            "ModalitiesInStudy", "Modality", "StudyDescription", "SeriesDescription",
            "BodyPartExamined", "StudyDate", "StudyTime", "study_age_days", "AccessionNumber",
            "ReferringPhysicianName", "SOPClassUID", "has_report", "instance_count", "size_mb",
        ),
    ),
    (
        Words("Пациент", "Patient"),
        (
            "patient_age_years", "PatientSex", "PatientBirthDate", "PatientID",
            "IssuerOfPatientID", "PatientName",
        ),
    ),
    (
        Words("Откуда", "Where from"),
        (
            "site", "InstitutionName", "StationName", "Manufacturer", "ManufacturerModelName",
            "source_aet", "source_ip",
        ),
    ),
    (
        Words("Как поступило", "How it came"),
        (
            "received_at.hour", "received_at.weekday", "received_at.holiday", "transfer_syntax",
            "charset_ok",
        ),
    ),
)  # fmt: skip
CHOICES: Mapping[str, Mapping[str, Words]] = {
    "Modality": {
        "CT": Words("КТ", "CT"), "MR": Words("МРТ", "MR"), "DX": Words("рентген", "X-ray, DX"),
        "CR": Words("рентген, CR", "X-ray, CR"), "MG": Words("маммография", "mammography"),
        "US": Words("УЗИ", "ultrasound"), "XA": Words("ангиография", "angiography"),
        "RF": Words("рентгеноскопия", "fluoroscopy"), "NM": Words("сцинтиграфия", "NM"),
        "PT": Words("ПЭТ", "PET"), "ES": Words("эндоскопия", "endoscopy"),
        "ECG": Words("ЭКГ", "ECG"), "SM": Words("гистология", "slides"),
        "SR": Words("протокол", "report, SR"), "DOC": Words("документ", "document"),
        "OT": Words("другое", "other"),
    },
    "PatientSex": {
        "M": Words("мужской", "male"), "F": Words("женский", "female"),
        "O": Words("другой", "other"),
    },
    "received_at.weekday": {
        "mon": Words("понедельник", "Monday"), "tue": Words("вторник", "Tuesday"),
        "wed": Words("среда", "Wednesday"), "thu": Words("четверг", "Thursday"),
        "fri": Words("пятница", "Friday"), "sat": Words("суббота", "Saturday"),
        "sun": Words("воскресенье", "Sunday"),
    },
}  # fmt: skip
CHOICES_OF = {"ModalitiesInStudy": "Modality"}
JOIN_WORDS: Mapping[str, Words] = {
    "all": Words("верно всё", "all of these"),
    "any": Words("верно хотя бы одно", "any of these"),
    "none": Words("не верно ничего", "none of these"),
}
ACTION_WORDS: Mapping[str, Words] = {
    "send": Words("Отправить", "Send"),
    "set_tag": Words("Записать в поле", "Set an attribute"),
    "map_tag": Words("Заменить значения поля", "Map an attribute"),
    "remove_tag": Words("Стереть поле", "Remove an attribute"),
    "deidentify": Words("Обезличить", "De-identify"),
    "notify": Words("Сообщить", "Notify"),
    "hold": Words("Задержать до решения человека", "Hold for a person"),
    "drop": Words("Не отправлять никуда", "Do not send"),
}
STATE_WORDS: Mapping[str, Words] = {name: Words(*pair) for name, pair in STATES.items()}
LANES_OF_RULES: Mapping[str, Words] = {name: Words(*pair) for name, pair in LANES.items()}
VERIFY_WORDS: Mapping[str, Words] = {
    "": Words("как принято у приёмника", "as the destination has it"),
    "SET": Words("состав (SET)", "the set of images (SET)"),
    "SIZE": Words("размеры (SIZE)", "sizes (SIZE)"),
    "CHECKSUM": Words("контрольные суммы (CHECKSUM)", "checksums (CHECKSUM)"),
    "FETCH": Words("чтение обратно (FETCH)", "reading back (FETCH)"),
    "COMMIT": Words("подтверждение хранения (COMMIT)", "storage commitment (COMMIT)"),
}
LEVEL_WORDS: Mapping[str, Words] = {
    "study": Words("исследование целиком", "the whole study"),
    "series": Words("каждую серию отдельно", "each series by itself"),
}
# In a form nobody writes quotes, brackets or keys.
_MISTAKES_OF_FORMS: Mapping[str, Words] = {
    "not_a_number": Words("здесь нужно число", "a number is wanted here"),
    "not_a_text": Words("заполните это поле", "fill this in"),
    "missing_key": Words("выберите или заполните", "choose or fill this in"),
    "not_a_date": Words("здесь нужна дата", "a date is wanted here"),
    "not_a_time": Words("здесь нужно время", "a time is wanted here"),
    "list_length": Words("выберите хотя бы одно", "choose at least one"),
    "one_of_target_targets": Words("выберите хотя бы одного получателя", "choose a destination"),
    "not_a_table": Words("заполните: старое = новое", "fill in: old = new"),
}


def mistake_words(mistake: Mistake) -> Words:
    """The sentence alone: the place is where it is shown."""
    if mistake.code in _MISTAKES_OF_FORMS:
        return _MISTAKES_OF_FORMS[mistake.code]
    ru, en = MISTAKES[mistake.code]
    return Words(ru.format(mistake.detail), en.format(mistake.detail))


def located_words(mistake: Mistake) -> Words:
    """The sentence with its place in a file."""
    return Words(mistake_in_words(mistake, "ru"), mistake_in_words(mistake, "en"))


def field_words_of(name: str) -> Words:
    return Words(field_in_words(name, "ru"), field_in_words(name, "en"))


def operator_words(name: str) -> Words:
    """ "contains {}" without the place of its value."""
    ru, en = (
        text.replace("{0}", "…").replace("{1}", "…").replace("{}", "…").strip(" —:").strip()
        for text in OPERATORS[name]
    )
    return Words(ru if ru != "…" else "—", en)
