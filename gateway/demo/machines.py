"""Which modality units stand where in the sample region, and what they cost."""

from collections.abc import Mapping

from gateway.model.rollout.register import Capture, FacilityKind, UnitKind
from gateway.model.wording import Words

K = UnitKind
STOCK: Mapping[FacilityKind, tuple[tuple[UnitKind, ...], ...]] = {
    FacilityKind.HOSPITAL: (
        (K.RADIOGRAPHY, K.RADIOGRAPHY, K.RADIOGRAPHY_MOBILE, K.FLUOROGRAPHY, K.C_ARM, K.CT,
         K.ULTRASOUND, K.MAMMOGRAPHY),
        (K.RADIOGRAPHY, K.RADIOGRAPHY, K.RADIOGRAPHY_MOBILE, K.FLUOROGRAPHY, K.ULTRASOUND,
         K.DENTAL),
        (K.RADIOGRAPHY, K.RADIOGRAPHY, K.RADIOGRAPHY, K.RADIOGRAPHY_MOBILE, K.FLUOROGRAPHY,
         K.C_ARM, K.CT, K.MRI, K.ANGIOGRAPHY, K.MAMMOGRAPHY, K.ULTRASOUND, K.DENSITOMETER),
    ),
    FacilityKind.CLINIC: (
        (K.RADIOGRAPHY, K.FLUOROGRAPHY, K.MAMMOGRAPHY, K.ULTRASOUND),
        (K.RADIOGRAPHY, K.FLUOROGRAPHY, K.DENTAL, K.ULTRASOUND),
        (K.FLUOROGRAPHY, K.DENTAL, K.RADIOGRAPHY, K.DENSITOMETER),
    ),
    FacilityKind.PRIVATE: (
        (K.DENTAL,), (K.ULTRASOUND, K.RADIOGRAPHY), (K.MRI,), (K.DENTAL, K.DENTAL), (K.CT, K.MRI),
        (K.ULTRASOUND, K.MAMMOGRAPHY),
    ),
    FacilityKind.TERRITORIAL_UNIT: ((K.FLUOROGRAPHY,), (K.RADIOGRAPHY,), (K.RADIOGRAPHY, K.DENTAL)),
    FacilityKind.FELDSHER_POINT: (),
}  # fmt: skip
"""What facilities of a kind have, by turns."""

ODDS: Mapping[UnitKind, float] = {
    K.CT: 1.0, K.ANGIOGRAPHY: 1.0, K.DENSITOMETER: 0.9, K.MAMMOGRAPHY: 0.45, K.C_ARM: 0.5,
    K.DENTAL: 0.42, K.FLUOROGRAPHY: 0.4, K.RADIOGRAPHY: 0.22, K.RADIOGRAPHY_MOBILE: 0.15,
}  # fmt: skip
"""How likely a unit was digital at the first audit, among the others."""

MODELS: Mapping[UnitKind, tuple[tuple[str, str], ...]] = {
    K.RADIOGRAPHY: (("Рентгенпром", "РДК-ВСМ"), ("Philips", "DuraDiagnost"), ("GE", "Brivo XR")),
    K.RADIOGRAPHY_MOBILE: (("Актюбрентген", "АРА 110"), ("SIEMENS", "Mobilett")),
    K.FLUOROGRAPHY: (("Рентгенпром", "ФЦ-01"), ("НИПК Электрон", "ФСЦ-У-01")),
    K.MAMMOGRAPHY: (("Рентгенпром", "МАММО-РПц"), ("GE", "Senographe")),
    K.C_ARM: (("Ziehm", "Vision"), ("SIEMENS", "Cios Select")),
    K.DENTAL: (("Vatech", "PaX-i"), ("Planmeca", "ProOne")),
    K.DENSITOMETER: (("Hologic", "Horizon"),),
    K.CT: (("SIEMENS", "SOMATOM go.Now"), ("GE", "Optima CT520"), ("Philips", "Incisive")),
    K.MRI: (("SIEMENS", "MAGNETOM Amira"), ("GE", "SIGNA Creator")),
    K.ANGIOGRAPHY: (("Philips", "Azurion 3"),),
    K.ULTRASOUND: (("Mindray", "DC-70"), ("GE", "LOGIQ P9")),
}
FILM: Mapping[UnitKind, tuple[str, str]] = {
    K.RADIOGRAPHY: ("Мосрентген", "РУМ-20М"), K.RADIOGRAPHY_MOBILE: ("Актюбрентген", "12П6"),
    K.FLUOROGRAPHY: ("Актюбрентген", "12Ф7"), K.MAMMOGRAPHY: ("Рентгенпром", "МАММО-П"),
    K.C_ARM: ("Philips", "BV 25"), K.DENTAL: ("Актюбрентген", "5Д2"),
    K.DENSITOMETER: ("Lunar", "DPX-A"),
}  # fmt: skip
"""Of units that were made for film."""
MODALITY: Mapping[UnitKind, str] = {
    K.CT: "CT", K.MRI: "MR", K.ANGIOGRAPHY: "XA", K.C_ARM: "XA", K.MAMMOGRAPHY: "MG",
    K.DENTAL: "PX", K.DENSITOMETER: "DX", K.ULTRASOUND: "US",
}  # fmt: skip
"""(0008,0060) of a digital unit's images; DX where nothing stands here."""
PRICE: Mapping[UnitKind, int] = {
    K.RADIOGRAPHY: 9_400_000, K.RADIOGRAPHY_MOBILE: 4_100_000, K.FLUOROGRAPHY: 5_300_000,
    K.MAMMOGRAPHY: 17_900_000, K.C_ARM: 7_800_000, K.DENTAL: 1_900_000, K.DENSITOMETER: 3_200_000,
    K.CT: 61_000_000, K.ANGIOGRAPHY: 78_000_000,
}  # fmt: skip
"""Of a new digital unit, in roubles."""
DIGITISER_PRICE = 620_000
FUNDING = (
    Words("Региональная программа модернизации", "Regional modernisation programme"),
    Words("Национальный проект «Здравоохранение»", "National Healthcare Project"),
    Words("Резервный фонд области", "Reserve fund of the region"),
)
DEMO_KINDS: Mapping[str, tuple[UnitKind, Capture]] = {
    "CT": (K.CT, Capture.DIGITAL), "MR": (K.MRI, Capture.DIGITAL),
    "CR": (K.RADIOGRAPHY, Capture.DIGITISER), "DX": (K.RADIOGRAPHY, Capture.DIGITAL),
    "MG": (K.MAMMOGRAPHY, Capture.DIGITAL), "US": (K.ULTRASOUND, Capture.DIGITAL),
}  # fmt: skip
"""What the devices of the sample studies are (catalogue.py)."""
