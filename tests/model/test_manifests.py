"""A manifest is the same for the same content, and another for another."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.model.manifests import Instance, make_manifest

uids = st.integers(1, 99).map("1.2.{}".format)
instances = st.builds(
    Instance, uids, uids, st.integers(0, 9), st.sampled_from(["", "a" * 32, "b" * 32])
)


@given(st.lists(instances, max_size=8), st.randoms())
def test_the_order_in_which_a_site_lists_does_not_matter(found, dice) -> None:
    shuffled = list(found)
    dice.shuffle(shuffled)
    assert make_manifest("1.2", found).hash == make_manifest("1.2", shuffled).hash


@given(st.lists(instances, max_size=8), st.lists(instances, max_size=8))
def test_another_content_has_another_hash(one, other) -> None:
    first, second = make_manifest("1.2", one), make_manifest("1.2", other)
    assert (first.hash == second.hash) is (first.instances == second.instances)


def test_a_uid_that_is_held_twice_is_told_only_if_the_files_differ() -> None:
    same, other = Instance("1.2", "1", 5, "a"), Instance("1.2", "1", 5, "b")
    assert make_manifest("1", [same, same]).doubled == frozenset()
    assert make_manifest("1", [same, other]).doubled == {"1.2"}
