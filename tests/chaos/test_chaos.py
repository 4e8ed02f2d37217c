"""The short form of `make chaos`. What it guards: no study is lost, no row says what is not so."""

import pytest

from tests.chaos.region import running
from tests.chaos.run import run_chaos

pytestmark = [pytest.mark.real, pytest.mark.alone]


def test_no_study_is_lost_and_no_row_is_false_whatever_falls():
    with running(postgresql=False) as region:
        verdict = run_chaos(region, studies=60, faults=25, seed=20261122, patience_s=300)
    assert verdict.wrong == []
    assert verdict.studies == 60
    assert verdict.looked > 0
