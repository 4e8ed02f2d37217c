"""Which sample studies the demo region gets: patients, hospitals, series. Draws and writes nothing.

All names are invented. What a study is there to show stands in `features`; the viewer's tests and
the demonstrations find their study by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

TODAY = date(2026, 11, 20)
"""Study dates count back from here, so that two runs in two years make the same bytes."""

UTF8, CYRILLIC, LATIN = "ISO_IR 192", "ISO_IR 144", "ISO_IR 100"

EXPLICIT = "1.2.840.10008.1.2.1"
JPEG, JPEG_2000 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"
JPEG_LS, RLE = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5"


@dataclass(frozen=True)
class Hospital:
    """What the files of one hospital say of it."""

    institution: str
    address: str
    station: str
    referring: tuple[str, ...]
    reader: str
    accession_prefix: str


HOSPITALS: Mapping[str, Hospital] = {
    "gkb1": Hospital(
        "ГКБ № 1 г. Челябинск",
        "г. Челябинск, ул. Воровского, 16",
        "GKB1",
        ("Орлова^Елена^Викторовна", "Дёмин^Артём^Сергеевич"),
        "Щербакова^Юлия^Павловна",
        "CH",
    ),
    "magnit": Hospital(
        "Городская больница № 1 г. Магнитогорск",
        "г. Магнитогорск, ул. Набережная, 18",
        "MGN",
        ("Фомин^Глеб^Игоревич", "Цветкова^Алла^Петровна"),
        "Жуков^Тимофей^Львович",
        "MG",
    ),
    "zlat": Hospital(
        "Городская больница г. Златоуст",
        "г. Златоуст, ул. Грибоедова, 1",
        "ZLT",
        ("Эльман^Борис^Яковлевич", "Юдина^Нина^Олеговна"),
        "Чернышёв^Илья^Фёдорович",
        "ZL",
    ),
}

# (hospital, modality): Manufacturer, ManufacturerModelName, DeviceSerialNumber, SoftwareVersions.
DEVICES: Mapping[tuple[str, str], tuple[str, str, str, str]] = {
    ("gkb1", "CT"): ("SIEMENS", "SOMATOM go.Top", "119482", "syngo CT VA30A"),
    ("gkb1", "MR"): ("SIEMENS", "MAGNETOM Altea", "176310", "syngo MR XA31"),
    ("gkb1", "CR"): ("FUJIFILM Corporation", "FCR CAPSULA XLII", "76291", "V10.1"),
    ("gkb1", "DX"): ("Philips Medical Systems", "DigitalDiagnost C90", "SN210114", "1.1.4"),
    ("gkb1", "MG"): ("HOLOGIC, Inc.", "Selenia Dimensions", "81209113", "1.11.0"),
    ("gkb1", "US"): ("GE Healthcare", "LOGIQ E10", "504471US2", "R3.1.2"),
    ("magnit", "CT"): ("GE MEDICAL SYSTEMS", "Revolution EVO", "REVO4417", "revo_ct_20.2"),
    ("magnit", "MR"): ("Philips", "Ingenia 1.5T", "45718", "5.7.1"),
    ("magnit", "CR"): ("Agfa", "DX-G", "30419", "NIM2109"),
    ("magnit", "DX"): ("АО «НИПК Электрон»", "КРТ-ОКО", "0817", "4.2"),
    ("magnit", "MG"): ("IMS s.r.l.", "Giotto Class", "G1187", "3.5.2"),
    ("magnit", "US"): ("Mindray", "Resona 7", "NX-71002294", "02.05.00"),
    ("zlat", "CT"): ("TOSHIBA", "Aquilion Prime", "1CA1762114", "V8.6"),
    ("zlat", "MR"): ("SIEMENS", "MAGNETOM ESSENZA", "49210", "syngo MR D15"),
    ("zlat", "CR"): ("Carestream Health", "DRX-Evolution", "8817", "5.7.612"),
    ("zlat", "DX"): ('ООО "С.П.Гелпик"', "РДК-50/6", "0231", "2.10"),
    ("zlat", "MG"): ("FUJIFILM Corporation", "AMULET Innovality", "26330117", "V8.1"),
    ("zlat", "US"): ("Philips Medical Systems", "Affiniti 70", "US31820417", "6.0.2"),
}


@dataclass(frozen=True)
class Patient:
    """A person as one hospital knows it; `name` is how it should read, family^given^middle."""

    name: str
    patient_id: str
    born: date
    sex: str


@dataclass(frozen=True)
class Series:
    """One series to be drawn.

    drawing  key of the drawing (samples.py); "sr" and "pdf" are reports
    count    images in full size; `small` in the small one
    """

    drawing: str
    modality: str
    description: str
    count: int = 1
    small: int = 1
    syntax: str = EXPLICIT
    body_part: str = ""


@dataclass(frozen=True)
class Study:
    """One study of the catalogue.

    sites    where it is stored; the first one made it
    partial  site -> of how many tenths of the instances it has a copy
    real     file names inside pydicom's package: copied as they are, nothing is drawn
    """

    slug: str
    title_ru: str
    title_en: str
    sites: tuple[str, ...]
    patient: Patient
    days_ago: int
    time: str
    series: tuple[Series, ...]
    features: tuple[str, ...]
    description: str = ""
    charset: str = UTF8
    mislabelled: str = ""
    partial: Mapping[str, int] = field(default_factory=dict)
    real: tuple[str, ...] = ()


def _patient(name: str, patient_id: str, born: str, sex: str) -> Patient:
    return Patient(name, patient_id, date.fromisoformat(born), sex)


def _study(
    site: str,
    slug: str,
    titles: tuple[str, str],
    patient: Patient,
    when: tuple[int, str],
    *series: Series,
    features: str,
    **more: object,
) -> Study:
    return Study(
        f"{site}-{slug}",
        *titles,
        (site,),
        patient,
        *when,
        tuple(series),
        tuple(features.split()),
        **{"description": titles[0], **more},  # type: ignore[arg-type]
    )


KUZNETSOVA = _patient("Кузнецова^Мария^Ивановна", "1004417", "1968-03-14", "F")
IVANOV_CHEL = _patient("Иванов^Пётр^Ильич", "1002231", "1957-08-02", "M")
IVANOV_MAGN = _patient("Иванов^Пётр^Ильич", "M-58120", "1957-08-02", "M")
SOKOLOVA = _patient("Соколова^Дарья^Олеговна", "20001", "1991-01-25", "F")
BELYAEV = _patient("Беляев^Роман^Андреевич", "20001", "1949-11-30", "M")
GUSEV = _patient("Гусев^Виктор^Степанович", "1009034", "1961-06-19", "M")

CT_CHEST, CT_ABDOMEN, CT_HEAD = "КТ органов грудной клетки", "КТ брюшной полости", "КТ головы"
CHEST_PA = "Рентгенография ОГК, прямая проекция"
CHEST_LATERAL = "Рентгенография ОГК, боковая проекция"
HAND = "Рентгенография кисти"
MAMMOGRAPHY = "Маммография"
VIEWS = ("mg-rcc", "mg-lcc", "mg-rmlo", "mg-lmlo")


def _mammograms(views: tuple[str, ...], syntax: str = EXPLICIT) -> tuple[Series, ...]:
    return tuple(
        Series(view, "MG", f"Маммография {view[3:].upper()}", syntax=syntax, body_part="BREAST")
        for view in views
    )


GKB1 = (
    _study(
        "gkb1",
        "ct-chest-200",
        (CT_CHEST, "CT of the chest, 200 slices"),
        KUZNETSOVA,
        (1, "091512"),
        Series("ct-chest", "CT", "Грудь 1.75 мм", 200, 12, body_part="CHEST"),
        features="ct200",
    ),
    _study(
        "gkb1",
        "cr-chest",
        (CHEST_PA, "Chest radiograph with its report (PDF)"),
        _patient("Ершов^Николай^Фёдорович", "1007741", "1953-05-09", "M"),
        (2, "103300"),
        Series("chest-pa", "CR", "ОГК прямая", body_part="CHEST"),
        Series("chest-lateral", "CR", "ОГК боковая", body_part="CHEST"),
        Series("pdf", "DOC", "Заключение (PDF)"),
        features="cr pdf",
    ),
    _study(
        "gkb1",
        "mammography",
        (MAMMOGRAPHY, "Mammography, four views"),
        _patient("Лебедева^Ольга^Юрьевна", "1005120", "1972-12-01", "F"),
        (3, "140210"),
        *_mammograms(VIEWS),
        features="mg",
    ),
    _study(
        "gkb1",
        "us-abdomen",
        ("УЗИ органов брюшной полости", "Abdominal ultrasound, 30 frames"),
        _patient("Зайцев^Михаил^Романович", "1008856", "1983-07-22", "M"),
        (0, "084500"),
        Series("us-liver", "US", "Печень, клип", body_part="ABDOMEN"),
        features="us-multiframe",
    ),
    _study(
        "gkb1",
        "ct-head-ivanov",
        (CT_HEAD, "CT of the head; the patient also has an MR in Magnitogorsk"),
        IVANOV_CHEL,
        (4, "232105"),
        Series("ct-head-bleed", "CT", "Голова 5 мм", 28, 5, body_part="HEAD"),
        Series("sr", "SR", "Протокол исследования"),
        features="same-patient sr",
    ),
    _study(
        "gkb1",
        "dx-hand-20001",
        (HAND, "Hand radiograph; another patient has this PatientID in Zlatoust"),
        SOKOLOVA,
        (6, "120745"),
        Series("hand", "DX", "Кисть прямая", body_part="HAND"),
        features="same-id",
    ),
    Study(
        "gkb1-ct-abdomen-shared",
        CT_ABDOMEN,
        "CT of the abdomen, complete in Chelyabinsk, partial in Magnitogorsk",
        ("gkb1", "magnit"),
        GUSEV,
        5,
        "113015",
        (
            Series(
                "ct-abdomen", "CT", "Брюшная полость, венозная фаза", 50, 10, body_part="ABDOMEN"
            ),
        ),
        ("two-sites",),
        CT_ABDOMEN,
        partial={"magnit": 4},
    ),
    _study(
        "gkb1",
        "mr-head",
        ("МРТ головного мозга", "MR of the brain, T1 and T2"),
        _patient("Титова^Вера^Николаевна", "1006003", "1979-09-17", "F"),
        (8, "154020"),
        Series("mr-t1", "MR", "T1 SE аксиальная", 24, 3, body_part="BRAIN"),
        Series("mr-t2", "MR", "T2 TSE аксиальная", 24, 3, body_part="BRAIN"),
        features="",
    ),
    _study(
        "gkb1",
        "cr-jpeg2000",
        (CHEST_PA, "Chest radiograph, JPEG 2000"),
        _patient("Шубина^Анна^Егоровна", "1003318", "1988-02-29", "F"),
        (9, "095530"),
        Series("chest-pa", "CR", "ОГК прямая", syntax=JPEG_2000, body_part="CHEST"),
        features="cr jpeg2000",
    ),
    _study(
        "gkb1",
        "cr-jpeg-ls",
        (CHEST_PA, "Chest radiograph, JPEG-LS"),
        _patient("Воронцов^Егор^Павлович", "1001190", "1944-04-04", "M"),
        (12, "160105"),
        Series("chest-pa", "CR", "ОГК прямая", syntax=JPEG_LS, body_part="CHEST"),
        features="cr jpegls",
    ),
)

MAGNIT = (
    _study(
        "magnit",
        "mr-head-ivanov",
        ("МРТ головного мозга", "MR of the brain; the patient also has a CT in Chelyabinsk"),
        IVANOV_MAGN,
        (2, "101500"),
        Series("mr-t2", "MR", "T2 TSE аксиальная", 24, 4, body_part="BRAIN"),
        features="same-patient",
    ),
    _study(
        "magnit",
        "cr-iso144",
        (CHEST_PA, "Chest radiograph, text in ISO_IR 144"),
        _patient("Ёлкина^Софья^Денисовна", "M-60417", "1995-10-11", "F"),
        (1, "113900"),
        Series("chest-pa", "CR", "ОГК прямая", body_part="CHEST"),
        features="cr iso144",
        charset=CYRILLIC,
    ),
    _study(
        "magnit",
        "us-thyroid-jpeg",
        ("УЗИ щитовидной железы с ЦДК", "Thyroid ultrasound with colour Doppler, JPEG"),
        _patient("Широкова^Зоя^Аркадьевна", "M-51288", "1966-01-08", "F"),
        (0, "091000"),
        Series("us-doppler", "US", "Щитовидная железа, ЦДК", syntax=JPEG, body_part="THYROID"),
        features="us-multiframe jpeg",
    ),
    _study(
        "magnit",
        "ct-head-jpeg-ls",
        (CT_HEAD, "CT of the head, JPEG-LS"),
        _patient("Панов^Артур^Маратович", "M-59931", "1999-03-03", "M"),
        (3, "021740"),
        Series("ct-head", "CT", "Голова 5 мм", 28, 4, JPEG_LS, "HEAD"),
        features="jpegls",
    ),
    _study(
        "magnit",
        "ct-chest-rle",
        (CT_CHEST, "CT of the chest, 24 slices, RLE"),
        _patient("Быков^Игнат^Савельевич", "M-44702", "1951-07-27", "M"),
        (7, "150330"),
        Series("ct-chest", "CT", "Грудь 15 мм", 24, 4, RLE, "CHEST"),
        features="rle",
    ),
    _study(
        "magnit",
        "ct-chest-jpeg2000",
        (CT_CHEST, "CT of the chest, 40 slices, JPEG 2000"),
        _patient("Чижова^Эмма^Карловна", "M-47115", "1946-05-05", "F"),
        (10, "131800"),
        Series("ct-chest", "CT", "Грудь 9 мм", 40, 4, JPEG_2000, "CHEST"),
        features="jpeg2000",
    ),
    _study(
        "magnit",
        "mammography-jpeg2000",
        (MAMMOGRAPHY, "Mammography, two views, JPEG 2000"),
        _patient("Яшина^Лидия^Глебовна", "M-53640", "1964-08-16", "F"),
        (11, "100410"),
        *_mammograms(VIEWS[2:], JPEG_2000),
        features="mg jpeg2000",
    ),
    _study(
        "magnit",
        "dx-hand",
        (HAND, "Hand radiograph"),
        _patient("Мухин^Кирилл^Антонович", "M-61002", "2009-09-01", "M"),
        (4, "170120"),
        Series("hand", "DX", "Кисть прямая", body_part="HAND"),
        features="",
    ),
    _study(
        "magnit",
        "cr-chest-report",
        (CHEST_PA, "Chest radiograph with its report (SR)"),
        _patient("Хохлов^Пахом^Ильич", "M-40076", "1939-12-19", "M"),
        (14, "083000"),
        Series("chest-pa", "CR", "ОГК прямая", body_part="CHEST"),
        Series("sr", "SR", "Протокол исследования"),
        features="cr sr",
    ),
)

ZLAT = (
    _study(
        "zlat",
        "cr-cp1251",
        (CHEST_PA, "Chest radiograph, cp1251 text labelled ISO_IR 100"),
        _patient("Жданова^Любовь^Захаровна", "Z300417", "1959-02-13", "F"),
        (1, "104500"),
        Series("chest-pa", "CR", "ОГК прямая", body_part="CHEST"),
        features="cr cp1251",
        charset=LATIN,
        mislabelled="cp1251",
    ),
    _study(
        "zlat",
        "cr-chest-20001",
        (CHEST_LATERAL, "Chest radiograph; another patient has this PatientID in Chelyabinsk"),
        BELYAEV,
        (2, "115515"),
        Series("chest-pa", "CR", "ОГК прямая", body_part="CHEST"),
        Series("chest-lateral", "CR", "ОГК боковая", body_part="CHEST"),
        features="cr same-id",
    ),
    _study(
        "zlat",
        "ct-head",
        (CT_HEAD, "CT of the head with its report (SR)"),
        _patient("Савин^Леонид^Маркович", "Z301960", "1955-10-24", "M"),
        (0, "034120"),
        Series("ct-head-bleed", "CT", "Голова 5 мм", 28, 4, body_part="HEAD"),
        Series("sr", "SR", "Протокол исследования"),
        features="sr",
    ),
    _study(
        "zlat",
        "us-abdomen",
        ("УЗИ органов брюшной полости", "Abdominal ultrasound, 30 frames, RLE"),
        _patient("Носова^Инна^Тимуровна", "Z304412", "1976-06-06", "F"),
        (3, "122200"),
        Series("us-liver", "US", "Печень, клип", syntax=RLE, body_part="ABDOMEN"),
        features="us-multiframe rle",
    ),
    _study(
        "zlat",
        "dx-hand-jpeg",
        (HAND, "Hand radiograph, JPEG"),
        _patient("Уткин^Олег^Борисович", "Z306518", "2001-11-11", "M"),
        (5, "181030"),
        Series("hand", "DX", "Кисть прямая", syntax=JPEG, body_part="HAND"),
        features="jpeg",
    ),
    _study(
        "zlat",
        "mammography-jpeg-ls",
        (MAMMOGRAPHY, "Mammography, two views, JPEG-LS"),
        _patient("Рябова^Тамара^Ильинична", "Z302777", "1969-04-30", "F"),
        (6, "133500"),
        *_mammograms(VIEWS[:2], JPEG_LS),
        features="mg jpegls",
    ),
    _study(
        "zlat",
        "ct-abdomen",
        (CT_ABDOMEN, "CT of the abdomen, 30 slices"),
        _patient("Фролов^Денис^Ефимович", "Z305009", "1980-08-08", "M"),
        (13, "142000"),
        Series("ct-abdomen", "CT", "Брюшная полость 8 мм", 30, 4, body_part="ABDOMEN"),
        features="",
    ),
    _study(
        "zlat",
        "consultation-pdf",
        ("Телеконсультация: заключение", "Teleconsultation report (PDF)"),
        _patient("Цой^Валентина^Сергеевна", "Z303131", "1948-01-01", "F"),
        (15, "160000"),
        Series("pdf", "DOC", "Заключение (PDF)"),
        features="pdf",
    ),
)

NOBODY = Patient("", "", TODAY, "")


def _real(slug: str, titles: tuple[str, str], *files: str) -> Study:
    return Study(f"zlat-real-{slug}", *titles, ("zlat",), NOBODY, 0, "", (), ("real",), real=files)


# One study each; its UIDs, names and dates stand in the files.
REAL = (
    _real("ct", ("КТ, снимок из pydicom", "CT, from pydicom"), "CT_small.dcm"),
    _real("ct-jpeg2000", ("КТ, JPEG 2000 из pydicom", "CT, JPEG 2000"), "693_J2KI.dcm"),
    _real("mr", ("МРТ, снимок из pydicom", "MR, from pydicom"), "MR_small.dcm"),
    _real("mr-overlay", ("МРТ с оверлеем", "MR with an overlay"), "examples_overlay.dcm"),
    _real("nm", ("Сцинтиграфия, JPEG 2000", "Bone scan, JPEG 2000"), "JPEG2000.dcm"),
    _real(
        "us",
        ("УЗИ, цветные снимки", "Ultrasound in colour"),
        "examples_rgb_color.dcm",
        "examples_jpeg2k.dcm",
    ),
    _real("us-frames", ("УЗИ, многокадровое", "Ultrasound, frames"), "examples_ybr_color.dcm"),
    _real("us-palette", ("УЗИ, палитра", "Ultrasound, palette"), "examples_palette.dcm"),
    _real("ecg", ("ЭКГ", "ECG waveform"), "waveform_ecg.dcm"),
    _real("sr", ("Структурированный отчёт", "Structured report"), "test-SR.dcm"),
)

STUDIES: tuple[Study, ...] = (*GKB1, *MAGNIT, *ZLAT, *REAL)
