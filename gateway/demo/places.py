"""The towns and villages of the sample region. All but those of the demo hospitals are invented."""

from typing import NamedTuple


class Town(NamedTuple):
    """A municipality and the middle of it, in degrees (WGS 84)."""

    ru: str
    en: str
    latitude: float
    longitude: float


CHELYABINSK = Town("Челябинск", "Chelyabinsk", 55.16, 61.40)
MAGNITOGORSK = Town("Магнитогорск", "Magnitogorsk", 53.41, 58.98)
ZLATOUST = Town("Златоуст", "Zlatoust", 55.17, 59.67)
TOWNS = (
    CHELYABINSK, MAGNITOGORSK, ZLATOUST,
    Town("Каменоярск", "Kamenoyarsk", 56.02, 61.02),
    Town("Верхнекедровск", "Verkhnekedrovsk", 55.71, 59.42),
    Town("Медноречье", "Mednorechye", 54.93, 58.12),
    Town("Сосногорье", "Sosnogorye", 55.02, 60.18),
    Town("Староуральск", "Staroursk", 54.35, 60.81),
    Town("Белоозёрный", "Beloozyorny", 55.53, 62.05),
    Town("Новостепной", "Novostepnoy", 53.05, 60.12),
    Town("Лесогорный", "Lesogorny", 54.62, 59.21),
    Town("Ключевской", "Klyuchevskoy", 54.11, 61.52),
    Town("Красноложский", "Krasnolozhsky", 54.82, 62.31),
    Town("Озёрногорск", "Ozyornogorsk", 55.84, 60.63),
    Town("Яшмовый", "Yashmovy", 52.71, 59.42),
    Town("Синереченск", "Sinerechensk", 55.31, 58.53),
    Town("Горнокаменск", "Gornokamensk", 53.82, 59.63),
    Town("Берёзовогорск", "Beryozovogorsk", 54.47, 61.98),
    Town("Ковыльный", "Kovylny", 52.43, 60.52),
    Town("Малахитовск", "Malakhitovsk", 55.94, 58.92),
    Town("Тополиное", "Topolinoye", 53.63, 61.07),
    Town("Журавлиный", "Zhuravliny", 54.02, 58.61),
    Town("Заречногорск", "Zarechnogorsk", 55.47, 61.12),
    Town("Светлоярский", "Svetloyarsky", 54.71, 60.35),
    Town("Чистоозерье", "Chistoozerye", 54.55, 62.74),
    Town("Рудногорск", "Rudnogorsk", 53.27, 58.41),
    Town("Орлинское", "Orlinskoye", 55.62, 57.82),
    Town("Полынное", "Polynnoye", 53.38, 61.63),
    Town("Кварцевый", "Kvartsevy", 54.27, 59.88),
    Town("Таёжный Яр", "Tayozhny Yar", 56.13, 59.83),
)  # fmt: skip

_STEMS = (
    ("Берёзов", "Beryozov"), ("Соснов", "Sosnov"), ("Каменн", "Kamenn"), ("Озёрн", "Ozyorn"),
    ("Медов", "Medov"), ("Рябинов", "Ryabinov"), ("Ольхов", "Olkhov"), ("Малинов", "Malinov"),
    ("Песчан", "Peschan"), ("Травян", "Travyan"), ("Тополев", "Topolev"),
    ("Журавлин", "Zhuravlin"), ("Калинов", "Kalinov"), ("Ковыльн", "Kovyln"), ("Ивов", "Ivov"),
    ("Кедров", "Kedrov"), ("Родников", "Rodnikov"), ("Дубов", "Dubov"), ("Осинов", "Osinov"),
    ("Вишнев", "Vishnev"), ("Ягодн", "Yagodn"), ("Кленов", "Klenov"),
)  # fmt: skip
_ENDINGS = (
    ("ый Дол", "y Dol"), ("ый Яр", "y Yar"), ("ая Горка", "aya Gorka"), ("ый Лог", "y Log"),
    ("ое", "oye"), ("ая Заимка", "aya Zaimka"), ("ая Падь", "aya Pad"),
    ("ая Поляна", "aya Polyana"), ("ый Ключ", "y Klyuch"), ("ая Балка", "aya Balka"),
    ("ый Бор", "y Bor"), ("ая Речка", "aya Rechka"), ("ое Поле", "oye Pole"), ("ый Мыс", "y Mys"),
    ("ая Грива", "aya Griva"),
)  # fmt: skip
VILLAGES = tuple(
    (stem[0] + ending[0], stem[1] + ending[1]) for ending in _ENDINGS for stem in _STEMS
)
"""Their names in Russian and English, more than there are points."""
CLINICS = (
    ("Алмаз", "Almaz"), ("Гармония", "Garmoniya"), ("Исток", "Istok"), ("Радуга", "Raduga"),
    ("Здоровая семья", "Healthy Family"), ("Вита", "Vita"), ("Ортос", "Ortos"),
    ("Клиника на Речной", "Clinic on Rechnaya"), ("Белая дента", "White Denta"),
    ("Рентген-центр", "X-ray Centre"), ("Томограф", "Tomograf"),
    ("Уралдиагностика", "Uraldiagnostika"),
)  # fmt: skip
