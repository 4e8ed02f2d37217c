"""The one decision: never wider than the table, and outside of it nothing exists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.access import (
    CARE,
    EVERYTHING,
    IMAGES,
    LOCAL_OPERATOR,
    MAY,
    NOBODY,
    OF_ACCOUNTS,
    READING,
    Action,
    Actor,
    Duty,
    Purpose,
    Reach,
    Reason,
    Role,
    Scope,
    Thing,
    allow,
    at,
    duties_of,
    parse_post,
)

SITES, STUDIES = ["north", "south", "archive"], ["1.2.3", "1.2.4", "1.2.5"]
some_sites = st.none() | st.frozensets(st.sampled_from(SITES))
some_studies = st.none() | st.frozensets(st.sampled_from(STUDIES))
reaches = st.builds(Reach, some_sites, some_studies)
duties = st.builds(Duty, st.sampled_from(Role), reaches, st.booleans())
actors = st.builds(
    Actor,
    st.just("someone"),
    st.lists(duties, max_size=4).map(tuple),
    st.none() | st.sampled_from(Purpose),
)
things = st.builds(Thing, some_sites, st.none() | st.sampled_from(STUDIES))
needing = st.sampled_from([action for action in Action if action is not Action.OPEN])


def actor(role, sites=None, studies=None, *, wide=False, purpose=None):
    return Actor("someone", (Duty(role, Reach(sites, studies), wide),), purpose)


NORTH = frozenset({"north"})


@given(actors, needing, things)
def test_nothing_is_allowed_that_the_table_does_not_name(who, action, thing):
    decision = allow(who, action, thing)
    if decision.allowed:
        assert decision.roles
        assert all(action in MAY[role] for role in decision.roles)
        assert set(decision.roles) <= {duty.role for duty in who.duties}


@given(actors, needing, things)
def test_a_scope_is_never_wider_than_the_duties(who, action, thing):
    decision = allow(who, action, thing)
    own = {duty.reach for duty in who.duties if action in MAY[duty.role]}
    may_be_wide = action in READING and who.purpose in CARE
    wide = {Reach() for d in who.duties if d.wide and d.role is Role.DOCTOR and may_be_wide}
    assert set(decision.scope.reaches) <= own | wide
    assert bool(decision.scope.reaches) == decision.allowed


@given(actors, needing, things)
def test_what_is_allowed_at_a_thing_is_within_what_is_allowed_at_all(who, action, thing):
    if allow(who, action, thing).allowed:
        everywhere = allow(who, action, EVERYTHING)
        assert set(allow(who, action, thing).scope.reaches) <= set(everywhere.scope.reaches)


@given(st.sampled_from(sorted(IMAGES)), st.lists(duties, max_size=3), things)
def test_the_ministry_never_comes_to_images_whatever_else_it_is(action, others, thing):
    ministry = Duty(Role.MINISTRY, Reach())
    who = Actor("someone", (*others, ministry), Purpose.TREATMENT)
    assert allow(who, action, thing) == allow(Actor("someone", (ministry,)), action, thing)
    assert not allow(who, action, thing).allowed


@given(needing, things, some_sites)
def test_a_patients_link_never_leaves_its_study(action, thing, sites):
    who = actor(Role.PATIENT, sites, frozenset({"1.2.3"}))
    decision = allow(who, action, thing)
    if decision.allowed:
        assert action in READING
        assert thing.study_uid in (None, "1.2.3")
        for named in (None, frozenset({"1.2.3"}), frozenset({"1.2.4"})):
            scope = decision.scope.for_search(named)
            assert scope.studies == {"1.2.3"}
            assert [uid for uid in STUDIES if scope.shows(uid)] == ["1.2.3"]


@given(actors, needing, things, some_studies)
def test_a_search_is_answered_from_one_part_of_the_scope(who, action, thing, named):
    whole = allow(who, action, thing).scope
    scope = whole.for_search(named)
    assert set(scope.reaches) <= set(whole.reaches)
    assert len({reach.studies is None for reach in scope.reaches}) <= 1


@pytest.mark.parametrize("action", [a for a in Action if a is not Action.OPEN])
def test_nobody_may_do_nothing(action):
    assert allow(NOBODY, action).reason is Reason.NOBODY


def test_everyone_comes_to_what_is_open():
    assert allow(NOBODY, Action.OPEN).allowed


@pytest.mark.parametrize("action", [a for a in Action if a not in OF_ACCOUNTS])
def test_the_local_operator_does_all_that_needs_no_account(action):
    decision = allow(LOCAL_OPERATOR, action)
    assert decision.allowed
    assert action is Action.OPEN or decision.scope == Scope((Reach(),))


def test_a_foreign_hospital_is_outside_not_forbidden():
    assert allow(actor(Role.DOCTOR, NORTH), Action.STORE, at("south")).reason is Reason.OUTSIDE
    assert allow(actor(Role.AUDITOR), Action.STORE, at("south")).reason is Reason.ROLE


@pytest.mark.parametrize(
    ("purpose", "wide", "sites"),
    [
        (Purpose.TREATMENT, True, None),
        (Purpose.EMERGENCY, True, None),
        (Purpose.OPERATIONS, True, NORTH),
        (None, True, NORTH),
        (Purpose.TREATMENT, False, NORTH),
    ],
    ids=["treatment", "emergency", "no care", "no purpose", "a region that does not allow it"],
)
def test_a_doctor_reads_the_region_only_for_care_and_where_the_region_allows(purpose, wide, sites):
    who = actor(Role.DOCTOR, NORTH, wide=wide, purpose=purpose)
    assert allow(who, Action.SEARCH).scope.sites == sites
    assert allow(who, Action.STORE).scope.sites == NORTH


def test_a_granted_study_is_found_by_its_uid_and_not_in_the_doctors_own_list():
    who = Actor(
        "someone",
        (
            Duty(Role.DOCTOR, Reach(NORTH)),
            Duty(Role.EXPERT, Reach(None, frozenset({"1.2.4"}))),
        ),
    )
    scope = allow(who, Action.SEARCH).scope
    assert scope.for_search(None) == Scope((Reach(NORTH),))
    assert scope.for_search(frozenset({"1.2.4"})).sites is None
    assert scope.for_search(frozenset({"1.2.4", "1.2.3"})).sites == NORTH
    assert allow(who, Action.RETRIEVE, at(None, "1.2.3")).scope.sites == NORTH
    assert allow(who, Action.RETRIEVE, at("south", "1.2.3")).reason is Reason.OUTSIDE


@pytest.mark.parametrize(
    "text", ["doctor@north", "hospital_it@south", "service@*", "service@north", "auditor"]
)
def test_a_post_is_written_as_it_is_read(text):
    assert str(parse_post(text)) == text


def test_posts_of_one_role_are_one_duty():
    posts = [parse_post(f"doctor@{site}") for site in ("north", "south")]
    expected = (Duty(Role.DOCTOR, Reach(frozenset({"north", "south"})), True),)
    assert duties_of(posts, wide=True) == expected
    both = duties_of([parse_post("service@north"), parse_post("service@*")], wide=True)
    assert both == (Duty(Role.SERVICE, Reach()),)
