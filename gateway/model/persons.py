"""Who a record says its patient is, whether two records can be one person, and which identifiers
of several hospitals belong together. Pure.

A PatientID means something only with its issuer (PS3.3 C.7.1.1, C.7.1.4), so a `PersonId` is both.
Names are compared word by word in all their Latin readings (dicom/names.py). A state number
(СНИЛС, policy of obligatory insurance) names one person whichever hospital wrote it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

from gateway.dicom.attributes import Dataset, make, text, values
from gateway.dicom.matching import name_groups, one_error
from gateway.dicom.names import fold, latin_key, latin_readings, name_key

LONGEST_ID = 64  # LO, PS3.5 6.2


class PersonId(NamedTuple):
    """One patient's identifier at one hospital, or at several that share an issuer."""

    issuer: str
    patient_id: str

    @classmethod
    def of(cls, issuer: str, patient_id: str) -> "PersonId | None":
        """None where one of the two is unknown, or cannot be what it claims to be."""
        known = (issuer, patient_id)
        fine = all(0 < len(part) <= LONGEST_ID and part.isprintable() for part in known)
        return cls(issuer, patient_id) if fine else None


class Pair(NamedTuple):
    """Two identifiers, the smaller first."""

    first: PersonId
    second: PersonId

    @classmethod
    def of(cls, one: PersonId, other: PersonId) -> "Pair":
        return cls(min(one, other), max(one, other))


@dataclass(frozen=True)
class Identity:
    """What one record says; "" and an empty set where it is silent.

    name     folded (dicom/names.py: name_key)
    numbers  state numbers as "kind:digits", at most one of each kind
    """

    patient_id: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""
    numbers: frozenset[str] = frozenset()

    @property
    def person_id(self) -> PersonId | None:
        """None where the identifier or its issuer is unknown."""
        return PersonId.of(self.issuer, self.patient_id)

    @property
    def alike(self) -> str:
        """The same for all with one birth date, sex, family and given name; "" if one is unknown.

        A patronymic is often left out, so it is compared apart (may_be_one_name).
        """
        words = self.name.split()[:2]
        if not (self.birth_date and self.sex and len(words) == 2):
            return ""
        return f"{self.birth_date}|{self.sex}|{latin_key(' '.join(words))}"


@dataclass(frozen=True)
class NumberKind:
    """A number that the state gives a person; `issuers` as hospitals write them, folded."""

    kind: str
    issuers: frozenset[str]
    length: int


NUMBER_KINDS = (
    NumberKind("snils", frozenset({"снилс", "snils", "пфр", "сфр", "1 2 643 100 3"}), 11),
    NumberKind("oms", frozenset({"омс", "oms", "енп", "enp", "фомс", "foms", "полис омс"}), 16),
)
_BARE_SNILS = re.compile(r"\d{3}-\d{3}-\d{3}[ -]\d{2}", re.ASCII)
_LABELLED = re.compile(r"\s*([^\d:]{2,20}?)[\s:№]+([\d \-]+)")
_FIRST_CHECKED_SNILS = 1001998


def with_issuer(record: Dataset, issuer: str) -> Dataset:
    """The record, whose PatientID is of its site's issuer unless it names another itself."""
    named = text(record, "IssuerOfPatientID") or not text(record, "PatientID")
    if named or not issuer:
        return record
    return {**record, "00100021": make("IssuerOfPatientID", issuer)}


def identity_of(record: Dataset) -> Identity:
    """What a record says of its patient."""
    issuer, patient_id = text(record, "IssuerOfPatientID"), text(record, "PatientID")
    found = _numbers(issuer, patient_id)
    for value in values(record, "OtherPatientIDs"):
        found |= _numbers("", str(value))
    for item in values(record, "OtherPatientIDsSequence"):
        if isinstance(item, dict):
            found |= _numbers(_issuer_of(item), text(item, "PatientID"))
    birth_date, sex = text(record, "PatientBirthDate"), text(record, "PatientSex").upper()
    return Identity(
        patient_id=patient_id,
        issuer=issuer,
        name=name_key(name_groups(next(iter(values(record, "PatientName")), None))[0]),
        birth_date=birth_date if re.fullmatch(r"\d{8}", birth_date, re.ASCII) else "",
        sex=sex if sex in ("M", "F", "O") else "",
        numbers=_one_of_each(found),
    )


def _issuer_of(item: Dataset) -> str:
    """PS3.3 Table 10-18: the local name, or the universal one of the qualifiers."""
    named = text(item, "IssuerOfPatientID")
    for qualifier in values(item, "IssuerOfPatientIDQualifiersSequence"):
        if isinstance(qualifier, dict) and not named:
            named = text(qualifier, "UniversalEntityID")
    return named


def _numbers(issuer: str, value: str) -> set[str]:
    """The state number that a value is, if its issuer or its form says so and it can be one.

    OtherPatientIDs has no room for an issuer, so that hospitals write it before the number.
    """
    if len(value) > LONGEST_ID:
        return set()
    label = _LABELLED.fullmatch(value)
    if label is not None:
        issuer, value = label[1], label[2]
    elif _BARE_SNILS.fullmatch(value.strip()):
        issuer = "snils"
    digits = re.sub(r"[ -]", "", value)
    if not issuer or not digits.isascii() or not digits.isdigit() or len(set(digits)) == 1:
        return set()
    folded = fold(issuer)
    return {
        f"{kind.kind}:{digits}"
        for kind in NUMBER_KINDS
        if folded in kind.issuers and len(digits) == kind.length
        if kind.kind != "snils" or is_snils(digits)
    }


def is_snils(digits: str) -> bool:
    """Whether eleven digits are a СНИЛС by its control sum; the oldest numbers have none."""
    number = int(digits[:9])
    weighed = sum(
        int(digit) * weight for digit, weight in zip(digits[:9], range(9, 0, -1), strict=True)
    )
    return number > _FIRST_CHECKED_SNILS and weighed % 101 % 100 == int(digits[9:])


def _one_of_each(numbers: Iterable[str]) -> frozenset[str]:
    """Without the kinds of which a record names two: nobody knows which is right."""
    found = sorted(set(numbers))
    kinds = [number.partition(":")[0] for number in found]
    return frozenset(n for n, kind in zip(found, kinds, strict=True) if kinds.count(kind) == 1)


def contradict(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two sets of state numbers name two people."""
    kinds = [number.partition(":")[0] for number in one | other]
    return len(kinds) > len(set(kinds))


# One study, two records


def are_different(one: Identity, other: Identity) -> bool:
    """Whether two records of one study are of different people, not of one spelt in two ways.

    - Two state numbers of one kind: different.
    - The same PatientID (and no two issuers): the hospital vouches, a new surname or a mended birth
      date is no other person. Both at once are.
    - A state number in common: different if the birth date differs (a newborn has the mother's).
    - The same PatientID under two issuers, perhaps of a copy: one typing error is forgiven.
    - Else identifiers say nothing, and one disagreement, in name or birth date, is enough.
    Sex decides nothing: it is the attribute that is mistyped most. What is absent never disagrees.
    """
    if contradict(one.numbers, other.numbers):
        return True
    named_otherwise = not may_be_one_name(one.name, other.name)
    dates = {one.birth_date, other.birth_date} - {""}
    born_otherwise = len(dates) > 1
    same_id = one.patient_id == other.patient_id != ""
    if same_id and len({one.issuer, other.issuer} - {""}) < 2:
        return named_otherwise and born_otherwise
    if one.numbers & other.numbers or (same_id and _is_mistyped(one.name, other.name)):
        return born_otherwise
    return named_otherwise or born_otherwise


def would_mix(one: Identity, held: Sequence[Identity]) -> bool:
    """Whether an image of `one` is not to come into a study that one site holds of `held`.

    Stricter than `are_different`: at one site another PatientID is another patient, whatever the
    name. Of an identifier without its character set old Orthancs keep the ASCII letters alone.
    """
    known = [patient for patient in held if patient != Identity(issuer=patient.issuer)]

    def is_other(patient: Identity) -> bool:
        mine = one.patient_id
        if patient.patient_id == _ascii_of(mine):
            mine = patient.patient_id
        if mine and patient.patient_id and mine != patient.patient_id:
            return True
        return are_different(replace(one, patient_id=mine), patient)

    return bool(known) and all(map(is_other, known))


def _ascii_of(value: str) -> str:
    return "".join(letter for letter in value if letter.isascii())


def may_be_one_name(one: str, other: str) -> bool:
    """Whether two folded names may be one: the last words may be missing, all but the first may be
    initials.
    """
    return not _other_words(one, other)


def _is_mistyped(one: str, other: str) -> bool:
    found = _other_words(one, other)
    return len(found) == 1 and one_error(*map(latin_key, found[0]))


def _other_words(one: str, other: str) -> list[tuple[str, str]]:
    pairs = enumerate(zip(one.split(), other.split(), strict=False))
    return [(a, b) for at, (a, b) in pairs if not _is_one_word(a, b, may_be_initial=at > 0)]


def _is_one_word(one: str, other: str, *, may_be_initial: bool) -> bool:
    if one == other:
        return True
    readings = [(a, b) for a in latin_readings(one) for b in latin_readings(other)]
    if may_be_initial and 1 in (len(one), len(other)):
        return any(a.startswith(b) or b.startswith(a) for a, b in readings)
    return any(a == b for a, b in readings)


def find_different(identities: Iterable[Identity]) -> bool:
    """Whether any two of them are different people."""
    return any(are_different(one, other) for one, other in combinations(set(identities), 2))
