"""Names in any alphabet and spelling, and texts that were read in a wrong one."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gateway.dicom.attributes import make
from gateway.dicom.names import (
    MAX_READINGS,
    fold,
    latin_key,
    latin_patterns,
    latin_readings,
    name_key,
    repair,
)

RUSSIAN = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"

# ГОСТ Р 52535.1 (passports since 2010), as the Russian passport office writes.
PASSPORT = dict(zip("абвгдеёжзийклмнопрстуфхцчшщъыьэюя", [
    "a", "b", "v", "g", "d", "e", "e", "zh", "z", "i", "i", "k", "l", "m", "n", "o", "p", "r", "s",
    "t", "u", "f", "kh", "ts", "ch", "sh", "shch", "", "y", "", "e", "iu", "ia",
], strict=True))  # fmt: skip
# Passports before 2010 and the usual English spelling.
ENGLISH = PASSPORT | {"й": "y", "ю": "yu", "я": "ya"}
ISO_9 = PASSPORT | {
    "ё": "ë", "ж": "ž", "й": "j", "ц": "c", "ч": "č", "ш": "š", "щ": "ŝ", "ъ": "ʺ", "ь": "ʹ",
    "э": "è", "ю": "û", "я": "â",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("ИВАНОВ^ПЁТР^ИЛЬИЧ", "иванов петр ильич"),
        ("Петрова-Водкина^Анна", "петрова водкина анна"),
        ("О'Коннор^Мэри", "оконнор мэри"),
        ("Иванов, П.И.", "иванов п и"),
        ("Yamada^Tarou=山田^太郎", "yamada tarou 山田 太郎"),
        ("  ИВАНОВ^^^ ", "иванов"),
        ("Ёлкина", "елкина"),
        ("*?", ""),
        ("", ""),
    ],
)
def test_a_name_is_folded(name, key):
    assert name_key(name) == key


@pytest.mark.parametrize(
    "spellings",
    [
        "Иванов IVANOV Ivanov",
        "Щербакова SHCHERBAKOVA SCHERBAKOVA Ŝerbakova Shherbakova",
        "Юлия YULIIA YULIYA IULIIA JULIA Ûliâ",
        "Хохлов KHOKHLOV HOHLOV Hohlov",
        "Цветкова TSVETKOVA TCVETKOVA Cvetkova Czvetkova",
        "Жуков ZHUKOV Žukov",
        "Ёлкина Елкина YOLKINA ELKINA Ëlkina",
        "Соловьёв SOLOVEV SOLOVYEV SOLOVIEV SOLOVYOV Solov'ev",
        "Дмитрий DMITRII DMITRY DMITRIY Dmitrij",
        "Васильева VASILEVA VASILIEVA VASILYEVA Vasil'eva",
        "Чайковский CHAIKOVSKII TCHAIKOVSKY Čajkovskij CHAYKOVSKIY",
        "Александр ALEKSANDR ALEXANDR",
        "Гуляева GULIAEVA GULYAEVA GULYAYEVA",
        "Горбачёв GORBACHEV GORBACHOV",
        "Пётр PETR PYOTR",
        "Сергей SERGEI SERGEY Sergej",
        "Яна IANA YANA JANA",
        "Шмидт SCHMIDT SHMIDT",
        "Кузнецов KUZNETSOV KUZNETCOV Kuznecov Kuzneczov",
        "Алексей ALEXEY ALEKSEI ALEKSEY Aleksej ALEXEI",
        "Николай NICOLAI NIKOLAI NIKOLAY NICOLAY Nikolaj",
        "Ксения XENIA KSENIIA KSENIYA Kseniâ",
        "Виктор VICTOR VIKTOR",
    ],
)
def test_all_spellings_of_a_name_are_one(spellings):
    assert len({latin_key(name) for name in spellings.split()}) == 1


@pytest.mark.parametrize(
    ("spelled", "names"),
    [
        ("CAPLINA", "Каплина Цаплина"),
        ("KONCOV", "Концов Конков"),
        ("XOXLOVA", "Хохлова"),
        ("MIXAIL", "Михаил"),
        ("Объедков", "OBEDKOV OBIEEDKOV"),
        ("ПОДЪЯЧЕВ", "PODIACHEV PODIEIACHEV PODYACHEV"),
        ("CERCOVNICOV", "Церковников"),
    ],
)
def test_a_spelling_is_read_in_every_way_that_it_may_mean(spelled, names):
    readings = latin_readings(name_key(spelled))
    assert {latin_key(name) for name in names.split()} <= set(readings)


def test_the_readings_of_a_long_name_are_not_without_end():
    assert len(latin_readings("xaca " * 60)) == MAX_READINGS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Анна", "Яна"), ("Иванов", "Иванова"), ("Жуков", "Зуков"), ("Петров", "Петрова"),
        ("Юрий", "Урий"), ("Чернов", "Цернов"), ("Хан", "Кан"), ("Мария", "Мара"),
    ],
)  # fmt: skip
def test_different_names_stay_different(one, other):
    assert latin_key(one) != latin_key(other)


@given(st.text(RUSSIAN, min_size=1, max_size=12))
def test_the_passport_s_spelling_is_the_same_name(name):
    # ьё and ъ have their own rules there, and a soft sign leaves two letters side by side.
    assume(not set("ъь") & set(name))
    spelled = "".join(PASSPORT[letter] for letter in name)
    assert latin_key(spelled) == latin_key(name)
    assert latin_key(name.upper()) == latin_key(name)
    assert latin_key("".join(ENGLISH[letter] for letter in name)) == latin_key(name)


@given(st.text(max_size=20))
@example("ſ")
def test_folding_is_stable_and_never_longer(name):
    assert fold(fold(name)) == fold(name)
    assert name_key(name_key(name)) == name_key(name)
    assert "  " not in fold(name)
    assert fold(name).strip() == fold(name)


def test_a_cut_inside_a_spelling_has_two_forms():
    assert latin_patterns("ali*") == ("ali*", "ale*")
    assert latin_patterns("ivanov*") == ("ivanov*",)
    assert latin_patterns("nic*") == ("nik*", "nits*", "nich*")


def named(text):
    return {"00100010": make("PatientName", text), "00081030": make("StudyDescription", text)}


FAMILIES = ["Жданова^Любовь", "Ёлкина^Ия^Юрьевна", "Щербаков^Пётр", "Рентген ОГК", "КТ №5 головы"]


@pytest.mark.parametrize("text", FAMILIES)
@pytest.mark.parametrize(
    ("wrong", "right"), [("latin-1", "cp1251"), ("latin-1", "utf-8"), ("latin-1", "iso8859_5")]
)
def test_russian_read_as_latin_1_is_read_again(text, wrong, right):
    misread = named(text.encode(right).decode(wrong))
    kept = dict(misread)
    assert repair(misread) == named(text)
    assert misread == kept


def test_windows_1251_read_as_iso_ir_144_is_read_again():
    misread = "Жданова^Любовь".encode("cp1251").decode("iso8859_5")
    assert repair(named(misread)) == named("Жданова^Любовь")


def test_texts_inside_sequences_are_repaired_too():
    inner = {"00400007": make("ScheduledProcedureStepDescription", "Æäàíîâà")}
    record = {"00400275": {"vr": "SQ", "Value": [inner]}}
    (item,) = repair(record)["00400275"]["Value"]
    assert item["00400007"]["Value"] == ["Жданова"]


@pytest.mark.parametrize(
    "name",
    [
        "Müller^Jürgen", "Élodie", "Jürgensen^Åsa", "Åström", "Göö", "Ægir", "Øyö", "José^Peña",
        "Þórður", "Öö", "ÉLÉONORE", "Núñez", "Иванов^Пётр", "Ђорђевић^Љиљана", "Їжакевич^Єва",
        "山田^太郎", "№ 5", "Ö", "François-René", "Groß",
    ],
)  # fmt: skip
def test_a_right_name_is_left_alone(name):
    record = named(name)
    assert repair(record) is record


@given(st.text(RUSSIAN, min_size=3, max_size=15))
def test_any_russian_word_comes_back_from_windows_1251(word):
    vowels = sum(letter in "аеёиоуыэюя" for letter in word)
    assume(vowels * 4 >= len(word))
    word = word.capitalize()
    misread = word.encode("cp1251").decode("latin-1")
    try:
        word.encode("cp1251").decode("utf-8")
    except UnicodeDecodeError:
        assert repair(named(misread)) == named(word)


@given(
    st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8), min_size=1, max_size=4),
    st.lists(st.sampled_from("äöüéèñçåøÄÖÜÉ"), max_size=4),
)
def test_latin_names_with_some_accents_are_left_alone(words, accents):
    text = "^".join(words)
    assume(len(accents) < len("".join(words)))
    for number, accent in enumerate(accents):
        at = (number * 3) % (len(text) + 1)
        text = text[:at] + accent + text[at:]
    assert repair(named(text)) == named(text)


@given(st.recursive(st.none() | st.text(max_size=5) | st.integers(), st.lists, max_leaves=5))
def test_any_record_is_repaired_without_an_error(value):
    record = {"00100010": {"vr": "PN", "Value": value}, "00091001": value}
    assert set(repair(record)) == set(record)
