"""What the kinds and states of the register are called on pages and in files: Russian, English."""

from collections.abc import Mapping

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
