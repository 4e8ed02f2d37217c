"""When two records are one person's, and when they are certainly not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.attributes import make, tag_of
from gateway.dicom.names import name_key
from gateway.model.persons import (
    Identity,
    are_different,
    contradict,
    identity_of,
    is_snils,
    with_issuer,
)
from tests.fakes import a_row

NUMBERS = ["snils:11223344595", "snils:08765430300", "oms:7712345678901234", "oms:771234567890123X"]
NAMES = ["", "Иванов^Пётр", "IVANOV^PETR^ILICH", "Иванов^П", "Иванов", "Сидорова^Анна", "Петров^И"]
identities = st.builds(
    Identity,
    patient_id=st.sampled_from(["", "1", "2"]),
    issuer=st.sampled_from(["", "NORTH", "SOUTH"]),
    name=st.sampled_from(NAMES).map(name_key),
    birth_date=st.sampled_from(["", "19700101", "19800101"]),
    sex=st.sampled_from(["", "M", "F"]),
    numbers=st.sets(st.sampled_from(NUMBERS[:3]), max_size=2)
    .filter(lambda found: not contradict(frozenset(found), frozenset()))
    .map(frozenset),
)


def one(name="Иванов^Пётр", birth_date="19700101", patient_id="1", issuer="NORTH", numbers=()):
    return Identity(patient_id, issuer, name_key(name), birth_date, "M", frozenset(numbers))


@given(identities, identities)
def test_who_differs_from_whom_does_not_depend_on_who_is_asked_first(a, b):
    assert are_different(a, b) == are_different(b, a)


@given(identities)
def test_nobody_differs_from_himself(a):
    assert not are_different(a, a)


@given(identities, identities, st.sampled_from(["name", "birth_date", "patient_id"]))
def test_a_silent_record_never_makes_two_people_of_one(a, b, attribute):
    blank = Identity(**{**vars(a), attribute: ""})
    if attribute != "patient_id":  # without the hospital's word a name alone decides
        assert not are_different(blank, b) or are_different(a, b)


@given(identities, identities)
def test_two_state_numbers_of_one_kind_are_two_people(a, b):
    if contradict(a.numbers, b.numbers):
        assert are_different(a, b)


@pytest.mark.parametrize(
    ("other", "different"),
    [
        (one(patient_id="9", issuer="SOUTH"), False),
        (one("IVANOV^PETR^ILICH", patient_id="9", issuer="SOUTH"), False),
        (one("ИВАНОВ^П^И", patient_id="9", issuer="SOUTH"), False),
        (one("IWANOW^PETR", patient_id="9", issuer="SOUTH"), False),
        (one("Сидорова^Анна", patient_id="9", issuer="SOUTH"), True),
        (one(birth_date="19800101", patient_id="9", issuer="SOUTH"), True),
        (one("Сидорова^Анна", patient_id="1", issuer="SOUTH"), True),
        (one("Ивонов^Пётр", patient_id="1", issuer="SOUTH"), False),
        (one("Ивонов^Пётр", patient_id="9", issuer="SOUTH"), True),
        (one("Ивонов^Пётр", "19800101", "1", "SOUTH"), True),
        (one("Петров^Пётр"), False),
        (one(birth_date="19710101"), False),
        (one("Петров^Иван", birth_date="19800101"), True),
        (one("Петров^Иван", issuer=""), False),
    ],
    ids=[
        "other id, same name and date", "patronymic, Latin", "initials",
        "another transliteration", "other name, other id",
        "other date, other id", "same id of another hospital, other name",
        "same id of another hospital, typing error", "other id, typing error",
        "same id of another hospital, typing error, other date", "same id, new surname",
        "same id, mended date", "same id, other name and date", "archive's copy, new surname",
    ],
)  # fmt: skip
def test_one_study_of_two_records(other, different):
    assert are_different(one(), other) == different


def test_a_state_number_in_common_vouches_for_a_new_surname_but_not_for_another_birth_date():
    mother = one("Иванова^Анна", patient_id="1", numbers=NUMBERS[:1])
    married = one("Петрова^Анна", patient_id="9", issuer="SOUTH", numbers=NUMBERS[:1])
    newborn = one("Иванов^Пётр", "20260101", "8", "SOUTH", NUMBERS[:1])
    assert (are_different(mother, married), are_different(mother, newborn)) == (False, True)


def test_the_control_sum_of_a_snils():
    assert is_snils("11223344595")
    assert not is_snils("11223344596")
    assert not is_snils("00000000000")
    # Exactly one of the hundred ends is right.
    assert sum(is_snils(f"087654303{end:02}") for end in range(100)) == 1


@pytest.mark.parametrize(
    ("elements", "numbers"),
    [
        ({"OtherPatientIDs": ["A1", "112-233-445 95"]}, {"snils:11223344595"}),
        ({"OtherPatientIDs": ["СНИЛС: 11223344595"]}, {"snils:11223344595"}),
        ({"OtherPatientIDs": ["11223344595"]}, set()),
        ({"OtherPatientIDs": ["ОМС 7712345678901234"]}, {"oms:7712345678901234"}),
        ({"PatientID": "112-233-445-95"}, {"snils:11223344595"}),
        ({"PatientID": "112-233-445 96"}, set()),
        ({"PatientID": "7712345678901234", "IssuerOfPatientID": "ЕНП"}, {"oms:7712345678901234"}),
        ({"PatientID": "1111111111111111", "IssuerOfPatientID": "ЕНП"}, set()),
        ({"OtherPatientIDs": ["112-233-445 95", "087-654-303 00"]}, set()),
    ],
    ids=lambda value: str(value)[:60],
)
def test_state_numbers_are_taken_where_kind_and_form_are_sure(elements, numbers):
    assert identity_of(a_row(**elements)).numbers == numbers


def test_state_numbers_of_the_sequence_are_read_with_their_issuers():
    named = a_row(PatientID="11223344595", IssuerOfPatientID="СНИЛС")
    qualifier = a_row(UniversalEntityID="1.2.643.100.3", UniversalEntityIDType="ISO")
    by_oid = a_row(PatientID="11223344595")
    by_oid[tag_of("IssuerOfPatientIDQualifiersSequence")] = {"vr": "SQ", "Value": [qualifier]}
    for item in (named, by_oid):
        record = {tag_of("OtherPatientIDsSequence"): make("OtherPatientIDsSequence", item, "x", 3)}
        assert identity_of(record).numbers == {"snils:11223344595"}


def test_the_issuer_of_the_site_says_what_kind_of_number_a_patient_id_is():
    found = identity_of(with_issuer(a_row(PatientID="11223344595"), "SNILS"))
    assert (found.issuer, found.numbers) == ("SNILS", {"snils:11223344595"})


def test_an_issuer_that_the_record_names_stands_and_an_absent_id_gets_none():
    named = a_row(PatientID="1", IssuerOfPatientID="SOUTH")
    nobody = a_row(PatientName="Иванов^Пётр")
    assert [with_issuer(row, "NORTH") for row in (named, nobody)] == [named, nobody]
    assert with_issuer(a_row(PatientID="1"), "") == a_row(PatientID="1")


@pytest.mark.parametrize("issuer", ["", "N\nH", "N" * 65])
def test_what_cannot_be_an_identifier_is_none(issuer):
    assert Identity("1", issuer).person_id is None
