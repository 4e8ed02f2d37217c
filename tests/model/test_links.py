"""Links between identifiers: what may be joined, and that the order of things does not matter."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.names import name_key
from gateway.model.links import MOST_ALIKE, MOST_SAID, Facts, facts_of, plan_links
from gateway.model.persons import Identity, Pair, PersonId, contradict

IDS = [PersonId(issuer, str(n)) for issuer in ("NORTH", "SOUTH", "WEST") for n in (1, 2)]
ALIKE = ["19700101|M|ivanov petr", "19800101|F|sidorova anna"]
NAMES = ["ivanov petr", "ivanov petr ilich", "ivanov petr semenovich"]
NUMBERS = ["snils:1", "snils:2", "oms:1", "oms:2"]
facts = st.builds(
    Facts,
    st.sets(st.sampled_from(ALIKE), min_size=1, max_size=2).map(frozenset),
    st.sets(st.sampled_from(NAMES), min_size=1, max_size=2).map(frozenset),
    st.sets(st.sampled_from(NUMBERS), max_size=2)
    .map(frozenset)
    .filter(lambda found: not contradict(found, frozenset())),
)
regions = st.dictionaries(st.sampled_from(IDS), facts)
decisions = st.dictionaries(
    st.sampled_from([Pair.of(a, b) for a, b in combinations(IDS, 2)]), st.booleans(), max_size=4
)
SNILS, OMS, OTHER = frozenset({"snils:1"}), frozenset({"oms:1"}), frozenset({"snils:2"})
NOBODY = frozenset[str]()


def alike(numbers=NOBODY, name=NAMES[0]):
    return Facts(frozenset(ALIKE[:1]), frozenset({name}), numbers)


@given(regions, decisions)
def test_no_group_joins_two_state_numbers_or_a_rejected_pair(known, decided):
    plan = plan_links(known, decided)
    for group in plan.groups:
        numbers = frozenset().union(*(known[member].numbers for member in group))
        assert not contradict(numbers, NOBODY)
        pairs = (Pair.of(a, b) for a, b in combinations(group, 2))
        assert not any(decided.get(pair) is False for pair in pairs)


@given(regions, decisions)
def test_groups_are_what_links_reach_and_nobody_is_in_two(known, decided):
    plan = plan_links(known, decided)
    members = [member for group in plan.groups for member in group]
    assert len(members) == len(set(members))
    assert all(len(group) > 1 for group in plan.groups)
    for pair, state in plan.links.items():
        if state == "automatic":
            assert any({*pair} <= group for group in plan.groups)


@given(regions, decisions, st.randoms(use_true_random=False))
def test_the_order_of_records_and_decisions_does_not_matter(known, decided, chance):
    items, said = list(known.items()), list(decided.items())
    chance.shuffle(items)
    chance.shuffle(said)
    assert plan_links(dict(items), dict(said)) == plan_links(known, decided)


@given(regions)
def test_nothing_is_automatic_without_a_state_number_in_common(known):
    for pair, state in plan_links(known, {}).links.items():
        one, other = known[pair.first], known[pair.second]
        assert one.alike & other.alike
        assert state == "suggested" or one.numbers & other.numbers


@given(regions, decisions)
def test_what_a_person_said_stands(known, decided):
    links = plan_links(known, decided).links
    said = {pair: "confirmed" if same else "rejected" for pair, same in decided.items()}
    assert {pair: links[pair] for pair in decided} == said


def test_a_chain_that_would_join_two_people_is_only_suggested():
    known = {IDS[0]: alike(SNILS | OMS), IDS[2]: alike(OMS), IDS[4]: alike(OMS | OTHER)}
    plan = plan_links(known, {})
    assert plan.groups == ()
    assert dict(plan.links) == {
        Pair(IDS[0], IDS[2]): "suggested",
        Pair(IDS[2], IDS[4]): "suggested",
    }


def test_a_confirmed_link_stays_when_a_wrong_number_tears_what_was_automatic():
    known = {IDS[0]: alike(SNILS), IDS[2]: alike(OMS), IDS[4]: alike(OMS | OTHER)}
    plan = plan_links(known, {Pair(IDS[0], IDS[2]): True})
    assert plan.groups == (frozenset({IDS[0], IDS[2]}),)
    assert plan.links[Pair(IDS[2], IDS[4])] == "suggested"


def test_confirmed_links_that_have_become_impossible_are_torn_and_told():
    known = {IDS[0]: alike(SNILS), IDS[2]: alike(OTHER)}
    plan = plan_links(known, {Pair(IDS[0], IDS[2]): True})
    assert (plan.groups, plan.torn) == ((), (frozenset({IDS[0], IDS[2]}),))


def test_a_rejected_pair_is_not_joined_by_a_third():
    known = {IDS[0]: alike(SNILS), IDS[2]: alike(SNILS), IDS[4]: alike(SNILS)}
    assert plan_links(known, {}).groups == (frozenset({IDS[0], IDS[2], IDS[4]}),)
    assert plan_links(known, {Pair(IDS[0], IDS[2]): False}).groups == ()


def test_a_name_that_half_the_region_has_suggests_nothing():
    crowd = {PersonId("NORTH", str(n)): alike() for n in range(MOST_ALIKE + 1)}
    assert plan_links(crowd, {}).links == {}
    crowd.popitem()
    assert len(plan_links(crowd, {}).links) == MOST_ALIKE * (MOST_ALIKE - 1) / 2


def test_a_patronymic_may_be_missing_but_not_be_another():
    full, short, other = alike(SNILS, NAMES[1]), alike(SNILS), alike(SNILS, NAMES[2])
    assert plan_links({IDS[0]: full, IDS[2]: short}, {}).links == {
        Pair(IDS[0], IDS[2]): "automatic"
    }
    assert plan_links({IDS[0]: full, IDS[2]: other}, {}).links == {}


def test_an_identifier_that_is_given_to_everybody_is_not_linked():
    said = {Identity("0", "NORTH", f"ivanov petr {n}") for n in range(MOST_SAID + 1)}
    assert facts_of(said) is None


def test_an_identifier_of_two_people_is_not_linked():
    name = name_key("Иванов^Пётр")
    first = Identity("0", "NORTH", name, "19700101", "M")
    other = Identity("0", "NORTH", name_key("Сидорова^Анна"), "19800101", "M")
    assert facts_of([first, other]) is None
    assert facts_of([first]) == Facts(frozenset({first.alike}), frozenset({name}), NOBODY)
    assert facts_of([Identity("0", "NORTH", "ivanov", "19700101", "M")]) is None
