"""What is known of how a site stores its images: asked once, and learnt when they come."""

from typing import cast

from gateway.clock import Deadline
from gateway.orthanc.stored import StoredSyntaxes
from gateway.orthanc.wire import Wire
from tests.fakes import a_site

PLAIN, J2K = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"


def test_what_is_learnt_of_an_instance_counts_for_it_and_for_its_study() -> None:
    """Nobody is asked: there is no wire."""
    shelf, site = StoredSyntaxes(cast(Wire, None)), a_site("gkb1")
    assert shelf.learn(site, "1.2", "1.2.3", PLAIN) == {PLAIN}
    assert shelf.learn(site, "1.2", "1.2.3", J2K) == {PLAIN, J2K}
    assert shelf.find(site, "1.2", "1.2.3", Deadline(1)) == {PLAIN, J2K}
    assert shelf.known(site, "1.2", "1.2.3/1.2.3.4") == frozenset()
    shelf.learn(site, "1.2", None, PLAIN)
    shelf.learn(site, "1.2", "1.2.3/1.2.3.4", J2K)
    assert shelf.known(site, "1.2", "1.2.3/1.2.3.4") == {J2K}
    assert shelf.find(site, "1.2", None, Deadline(1)) == {PLAIN, J2K}
