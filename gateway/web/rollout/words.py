"""What the kinds and states of the register and of its evidence are called on pages and in files."""

from collections.abc import Mapping

from gateway.model.rollout.figures import REGION, Evidence
from gateway.model.rollout.register import Capture, FacilityKind, UnitKind, UnitState
from gateway.model.wording import Words

FACILITY_KINDS: Mapping[str, Words] = {
    FacilityKind.HOSPITAL: Words("больница", "hospital"),
    FacilityKind.CLINIC: Words("поликлиника", "out-patient clinic"),
    FacilityKind.TERRITORIAL_UNIT: Words("территориальное подразделение", "territorial unit"),
    FacilityKind.FELDSHER_POINT: Words("ФАП", "feldsher point"),
    FacilityKind.PRIVATE: Words("частная организация", "private organisation"),
}
UNIT_KINDS: Mapping[str, Words] = {
    UnitKind.RADIOGRAPHY: Words("рентген стационарный", "radiography, stationary"),
    UnitKind.RADIOGRAPHY_MOBILE: Words("рентген передвижной", "radiography, mobile"),
    UnitKind.FLUOROGRAPHY: Words("флюорограф", "fluorography"),
    UnitKind.MAMMOGRAPHY: Words("маммограф", "mammography"),
    UnitKind.C_ARM: Words("С-дуга", "C-arm"),
    UnitKind.DENTAL: Words("дентальный рентген", "dental X-ray"),
    UnitKind.DENSITOMETER: Words("денситометр", "densitometer"),
    UnitKind.CT: Words("КТ", "CT"),
    UnitKind.MRI: Words("МРТ", "MRI"),
    UnitKind.ANGIOGRAPHY: Words("ангиограф", "angiography"),
    UnitKind.ULTRASOUND: Words("УЗИ", "ultrasound"),
}
CAPTURES: Mapping[str, Words] = {
    Capture.ANALOGUE: Words("плёнка", "film"),
    Capture.DIGITISER: Words("плёнка с оцифровщиком", "film with a digitiser"),
    Capture.DIGITAL: Words("цифровой", "digital"),
}
STATES: Mapping[str, Words] = {
    UnitState.ACTIVE: Words("работает", "in use"),
    UnitState.REPAIR: Words("в ремонте", "in repair"),
    UnitState.IDLE: Words("простаивает", "idle"),
    UnitState.ORDERED: Words("заказан", "ordered"),
    UnitState.INSTALLED: Words("установлен, не запущен", "installed, not started"),
    UnitState.DECOMMISSIONED: Words("списан", "decommissioned"),
}
EVIDENCE: Mapping[Evidence, Words] = {
    Evidence.PROVEN: Words("подтверждён", "proven"),
    Evidence.SILENT: Words("молчит", "silent"),
    Evidence.NEVER: Words("снимков не было", "never seen"),
    Evidence.UNDECLARED: Words("не заявлен", "undeclared"),
    Evidence.ANALOGUE: Words("плёночный", "film"),
}
MEANINGS: Mapping[Evidence, Words] = {
    Evidence.PROVEN: Words(
        "заявлен цифровым, снимки за последние 30 дней есть",
        "declared digital, images in the last 30 days",
    ),
    Evidence.SILENT: Words(
        "заявлен цифровым, снимков нет больше 30 дней",
        "declared digital, no image for more than 30 days",
    ),
    Evidence.NEVER: Words(
        "заявлен цифровым, ни одного снимка за всё время",
        "declared digital, not one image ever",
    ),
    Evidence.UNDECLARED: Words(
        "заявлен плёночным, а снимки приходят", "declared film, yet images arrive"
    ),
    Evidence.ANALOGUE: Words("заявлен плёночным, снимков нет", "declared film, no images"),
}
MARKS: Mapping[Evidence, str] = {
    Evidence.PROVEN: "●",
    Evidence.SILENT: "◐",
    Evidence.NEVER: "▲",
    Evidence.UNDECLARED: "◆",
    Evidence.ANALOGUE: "○",
}
"""Beside every colour, so that no colour says anything alone."""
