"""`/rollout`: the region at a glance. The declared share, what the images prove of it, and when
100 % is reached.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from gateway.model.access import Action
from gateway.model.alarms import MEANING
from gateway.model.rollout.figures import Figures, ScopeKind
from gateway.model.rollout.register import X_RAY, UnitKind
from gateway.model.wording import Words
from gateway.records.alarms import load_alarms
from gateway.web.permissions import needs
from gateway.web.rollout.charts import evidence_chart, flow_chart, share_chart
from gateway.web.rollout.frame import Desk
from gateway.web.rollout.language import Language
from gateway.web.rollout.shown import Shown
from gateway.web.rollout.words import UNIT_KINDS

MOST_HOLDING_BACK = 6


def add_routes(door: Blueprint, desk: Desk) -> None:
    """/rollout"""

    @door.get("/")
    @needs(Action.READ_FIGURES)
    def glance() -> Response:
        shown = desk.teller.now()
        alarms = _count_alarms(desk)
        return desk.page(
            "glance", shown, lambda language: {"alarms": alarms, **_tell(shown, language)}, alarms
        )


def kinds_of_units(shown: Shown, language: Language) -> dict[str, Figures]:
    """Figures of each kind of X-ray unit by its name, those with most units first."""
    every = shown.scopes(ScopeKind.UNIT_KIND)
    found = {name: figures for name, figures in every.items() if UnitKind(name) in X_RAY}
    names = sorted(found, key=lambda name: (-found[name].digital.whole, name))
    return {
        language.words(UNIT_KINDS[name]): found[name] for name in names if found[name].digital.whole
    }


def _tell(shown: Shown, language: Language) -> Mapping[str, Any]:
    kinds, forecast = kinds_of_units(shown, language), shown.snapshot.forecast
    return {
        "kinds": kinds,
        "curve": share_chart(shown.curve(), language, forecast),
        "flow": flow_chart(shown.curve(), language),
        "by_kind": evidence_chart(kinds, language),
        "holding_back": [
            (shown.facilities[name], count)
            for name, count in forecast.holding_back[:MOST_HOLDING_BACK]
            if name in shown.facilities
        ],
    }


def _count_alarms(desk: Desk) -> list[tuple[Words, int]]:
    """Open alarms by what they mean; whom they are of is for the console."""
    counts = Counter(alarm.kind for alarm in load_alarms(desk.gateway.records))
    return [
        (Words(*MEANING.get(kind, (kind, kind))), count) for kind, count in counts.most_common()
    ]
