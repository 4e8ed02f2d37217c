"""Whoever knows how an answer is made, and has it, still must not know a count of one to four
studies: it is compared with what the gateway would have answered of other counts.
"""

from collections import defaultdict
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.rollout.figures import REGION, Count, Scope, ScopeKind, Share
from gateway.model.rollout.measures import Flow, Inventory, Savings, Seen, measure
from gateway.model.rollout.register import FacilityKind
from gateway.model.rollout.suppression import (
    OTHER,
    tell,
    tell_modalities,
    tell_studies,
    withhold,
)
from tests.model.rollout.small_register import DAY, by_id, facility

FOUR = by_id(
    facility("a", municipality="Город"),
    facility("b", municipality="Район"),
    facility("c", FacilityKind.CLINIC, "Район"),
    facility("d", FacilityKind.CLINIC, "Город"),
)
MODALITY = {"a": "DX", "b": "CT", "c": "DX", "d": "MG"}


def of(facility_id):
    return Scope(ScopeKind.FACILITY, facility_id)


def told_of(counts, within=None):
    """What is told when each facility has so many studies, each of its own modality."""
    seen = Seen(
        facilities={
            one: Flow(
                0, count, {MODALITY[one]: count},
                visible={} if within is None else {60: within[one], 600: count - within[one]},
            )
            for one, count in counts.items()
        }
    )  # fmt: skip
    register = Inventory({one: FOUR[one] for one in counts}, {})
    return register, seen, tell_studies(register, seen)


@given(
    counts=st.fixed_dictionaries(dict.fromkeys("abcd", st.integers(0, 40))),
    place=st.sampled_from("abcd"), number=st.integers(1, 4), other=st.integers(1, 4),
)  # fmt: skip
def test_whichever_number_of_one_to_four_it_is_every_answer_is_the_same(
    counts, place, number, other
) -> None:
    one, another = counts | {place: number}, counts | {place: other}
    within = {key: count // 2 for key, count in counts.items()} | {place: 0}
    assert told_of(one, within)[2] == told_of(another, within)[2]
    assert told_of(one, within | {place: number})[2] == told_of(another, within)[2]


def test_nor_to_one_number_of_studies_within_two_minutes_or_later():
    possible = defaultdict(set)
    for count in range(16):
        for within in range(count + 1):
            told = told_of({"a": count, "b": 40}, {"a": within, "b": 31})[2]
            possible[repr(told)].add((within, count - within, count))
    for group in possible.values():
        for place in range(3):
            found = {one[place] for one in group}
            assert len(found) > 1 or not 0 < next(iter(found)) < 5, group


def test_two_answers_never_differ_by_a_certain_number_of_one_to_four():
    differing = defaultdict(set)
    for before, after in product(range(60), repeat=2):
        differing[tell(before), tell(after)].add(after - before)
    for found in differing.values():
        assert len(found) > 1 or not 0 < abs(next(iter(found))) < 5


@pytest.mark.parametrize(
    ("count", "value"),
    [(0, 0), (1, None), (4, None), (5, 5), (7, 5), (8, 10), (12, 10), (13, 15), (1002, 1000)],
)
def test_a_count_is_told_as_nothing_as_fewer_than_five_or_to_the_nearest_five(count, value):
    found = tell(count)
    assert found.value == value
    assert found.least <= count <= found.most
    assert found.text == ("<5" if value is None else str(value))


def test_what_is_told_of_a_municipality_is_the_sum_of_what_is_told_of_its_facilities():
    *_, told = told_of({"a": 101, "b": 3, "c": 18, "d": 2})
    # Facilities: 100, <5, 20, <5. Town: a and d. District: b and c. Hospitals: a, b. Clinics: c, d.
    assert told.studies[Scope(ScopeKind.MUNICIPALITY, "Город")] == Count(100, 1)
    assert told.studies[Scope(ScopeKind.MUNICIPALITY, "Район")] == Count(20, 1)
    assert told.studies[Scope(ScopeKind.FACILITY_KIND, "hospital")] == Count(100, 1)
    assert told.studies[Scope(ScopeKind.FACILITY_KIND, "clinic")] == Count(20, 1)
    assert told.studies[REGION] == Count(120, 2)
    assert not any(scope.kind is ScopeKind.UNIT_KIND for scope in told.studies)


def test_of_two_facilities_with_few_the_sum_is_not_more_than_twice_four():
    *_, told = told_of({"b": 3, "c": 4})
    assert told.studies[Scope(ScopeKind.MUNICIPALITY, "Район")] == Count(None, 2)
    assert Count(None, 2).text == "<9"


def test_modalities_with_few_studies_are_told_together():
    assert tell_modalities({"CT": 40, "DX": 100, "MG": 3, "XA": 4}) == {
        "CT": Count(40), "DX": Count(100), OTHER: Count(5),
    }  # fmt: skip
    # One alone would be known by that: the next larger one hides it.
    assert tell_modalities({"CT": 40, "DX": 100, "MG": 3}) == {"DX": Count(100), OTHER: Count(45)}
    assert tell_modalities({"MG": 3, "XA": 1}) == {}
    assert tell_modalities({"CT": 0, "DX": 6}) == {"DX": Count(5)}


@given(st.dictionaries(st.sampled_from(["CT", "DX", "MG", "MR", "US", "XA"]), st.integers(0, 40)))
def test_no_modality_is_told_of_fewer_than_five(counts):
    for count in tell_modalities(counts).values():
        assert count.value == 0 or count.value >= 5


def test_times_are_told_of_five_studies_at_least():
    *_, told = told_of({"a": 4, "b": 5}, {"a": 4, "b": 5})
    assert (told.visible[of("a")].median, told.visible[of("a")].p95) == (None, None)
    assert (told.visible[of("b")].median, told.visible[of("b")].share) == (1.0, Share(5, 5))
    assert told.visible[of("a")].share is None
    assert told.visible[REGION].studies == Count(5, 1)


def test_no_median_tells_how_many_were_within_two_minutes():
    # Eight studies, four of them in a minute: the median would be a minute, so there are four.
    *_, told = told_of({"a": 8, "b": 40}, {"a": 4, "b": 40})
    clock = told.visible[of("a")]
    assert (clock.studies, clock.within_two, clock.median) == (Count(10), Count(None), None)
    assert told.visible[REGION].median == 1.0


def test_figures_that_are_kept_have_no_other_numbers_of_studies():
    register, seen, told = told_of({"a": 101, "b": 3, "c": 18}, {"a": 99, "b": 3, "c": 2})
    figures, _ = measure(register, seen, DAY, Savings())
    for scope, exact in figures.items():
        kept = withhold(exact, scope, told)
        assert kept.studies == 0
        assert kept.studies_30 in (0, 20, 100, 120)
        assert kept.visible.within_two.whole in (0, 20, 100, 120)
        assert kept.visible.within_two.part in (0, 100)
        assert (kept.digital, kept.money, kept.by_state) == (
            exact.digital, exact.money, exact.by_state,
        )  # fmt: skip
    assert withhold(figures[of("a")], of("a"), told).by_modality == {}
