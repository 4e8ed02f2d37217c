"""Whose images a sender's are: fingerprints that persons gave, and what the register says of each
unit's make, model and serial number. Pure.

Exact texts before normal ones (likeness.py), then what says more before what says less. What fits
two units equally fits none: a person decides. Nothing that was counted depends on a match, so that
a wrong one is undone by taking back the word that made it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.model.rollout.likeness import normal
from gateway.model.rollout.register import Facility, Unit
from gateway.model.rollout.senders import Fingerprint, Sender

WEIGHT = {"serial": 32, "station": 16, "model": 8, "institution": 4, "manufacturer": 2,
          "site_id": 1}  # fmt: skip
"""Each says more than all that follow together: no two different sets weigh the same."""
MOST_STEPS = 20
REGISTER = "register"
"""Whose word a match is that no fingerprint made."""


@dataclass(frozen=True)
class Match:
    """unit_id         None: of no unit, or of several equally
    fingerprint_id  that made it; REGISTER: what the register says of the unit
    rivals          units that it fits equally well, by their ids
    """

    unit_id: str | None = None
    fingerprint_id: str = ""
    is_exact: bool = False
    rivals: tuple[str, ...] = ()


NOBODYS = Match()


@dataclass(frozen=True)
class _Rule:
    """A fingerprint where it holds.

    bare_serial  only of a sender that does not tell its serial number
    """

    fingerprint: Fingerprint
    unit_id: str
    bare_serial: bool = False


_Key = tuple[str, str]
"""The strongest of what a fingerprint says, with the name of its field."""
_Rules = dict[_Key, list[_Rule]]


@dataclass
class _Site:
    """What is known of a site: a region has hundreds of machines of one model, a site a few.

    ends  the unit that one was found to be, of those that were
    """

    prints: list[Fingerprint] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)

    def rules(self) -> tuple[_Rules, _Rules]:
        """Those by which a sender is a unit's, and those by which it is not."""
        rules: _Rules = {}
        denials: _Rules = {}
        for one in self.prints:
            end = self.ends.get(one.unit_id, one.unit_id)
            _add(denials if one.is_not else rules, _Rule(one, end))
        for unit in self.units:
            end = self.ends.get(unit.unit_id, unit.unit_id)
            for made, is_bare in _of_register(unit):
                _add(rules, _Rule(made, end, is_bare))
        return rules, denials


def _add(rules: _Rules, rule: _Rule) -> None:
    key = _strongest(rule.fingerprint)
    if key is not None:
        rules.setdefault(key, []).append(rule)


class Matcher:
    """Everything that is known of units at one moment, ready to be asked.

    units       as of a day, by id; those merged into another stand for that one
    facilities  as of that day, by id
    homes       facilities that each unit has ever had; its images stay its own when it moves
    """

    def __init__(
        self, fingerprints: Iterable[Fingerprint], units: Mapping[str, Unit],
        facilities: Mapping[str, Facility], homes: Mapping[str, frozenset[str]] | None = None,
    ) -> None:  # fmt: skip
        sites = sites_of_units(units, facilities, homes or {})
        self._sites: dict[str, _Site] = defaultdict(_Site)
        self._rules: dict[str, tuple[_Rules, _Rules]] = {}
        for one in fingerprints:
            if one.unit_id in units:
                for site_id in (one.site_id,) if one.site_id else sites[one.unit_id]:
                    self._sites[site_id].prints.append(one)
                    self._sites[site_id].ends[one.unit_id] = _end(one.unit_id, units)
        for unit_id, unit in units.items():
            for site_id in sites[unit_id]:
                self._sites[site_id].units.append(unit)
                if unit.merged_into:
                    self._sites[site_id].ends[unit_id] = _end(unit_id, units)

    def differs(self, other: "Matcher", site_id: str) -> bool:
        """Whether it may know a sender of that site as another unit's than the other does."""
        return self._sites.get(site_id) != other._sites.get(site_id)

    def _rules_at(self, site_id: str) -> tuple[_Rules, _Rules]:
        """Made when a sender of the site is asked for first."""
        if site_id not in self._rules:
            self._rules[site_id] = self._sites.get(site_id, _Site()).rules()
        return self._rules[site_id]

    def match(self, sender: Sender) -> Match:
        """The unit that made a sender's images."""
        keys, (rules, denials) = _keys(sender), self._rules_at(sender.site_id)
        denied = {rule.unit_id for rule, _ in _fitting(sender, keys, denials)}
        best: dict[str, tuple[bool, int, str]] = {}
        for rule, is_exact in _fitting(sender, keys, rules):
            if rule.unit_id not in denied:
                found = (is_exact, _weight(rule.fingerprint), rule.fingerprint.fingerprint_id)
                best[rule.unit_id] = max(found, best.get(rule.unit_id, found))
        if not best:
            return NOBODYS
        highest = max(rank[:2] for rank in best.values())
        first = sorted(unit_id for unit_id, rank in best.items() if rank[:2] == highest)
        if len(first) > 1:
            return Match(is_exact=highest[0], rivals=tuple(first))
        return Match(first[0], best[first[0]][2], highest[0])


def _fitting(sender: Sender, keys: Iterable[_Key], rules: _Rules) -> Iterator[tuple[_Rule, bool]]:
    """Rules that fit, and whether they do to the letter."""
    for key in keys:
        for rule in rules.get(key, ()):
            if rule.bare_serial and normal("serial", sender.serial):
                continue
            is_exact = fits(rule.fingerprint, sender)
            if is_exact is not None:
                yield rule, is_exact


@lru_cache(maxsize=16_384)
def _of_register(unit: Unit) -> tuple[tuple[Fingerprint, bool], ...]:
    """What the register says of its images; True: only of those that tell no serial number."""
    serial = unit.serial.strip() if normal("serial", unit.serial) else ""
    maker, model = unit.manufacturer.strip(), unit.model.strip()
    whole = Fingerprint(REGISTER, unit.unit_id, "", maker, model, serial)
    plain = Fingerprint(REGISTER, unit.unit_id, "", maker, model)
    # Many images do not tell their serial number.
    found = ((whole, False),) if serial else ()
    return (*found, (plain, bool(serial))) if model else found


@lru_cache(maxsize=32_768)
def _strongest(one: Fingerprint) -> _Key | None:
    """Under which of its texts a fingerprint is kept; None: it says nothing."""
    found = next((field for field in WEIGHT if getattr(one, field)), None)
    return None if found is None else (found, _key(found, getattr(one, found)))


def _keys(sender: Sender) -> list[_Key]:
    return [(field, _key(field, getattr(sender, field))) for field in WEIGHT]


def _key(field: str, said: str) -> str:
    """What is equal to the letter is equal here, too; what means the same as well."""
    return said if field == "site_id" else normal(field, said) or said


def fits(one: Fingerprint, sender: Sender) -> bool | None:
    """Whether to the letter (True) or by meaning (False); None: it does not."""
    said = [(name, getattr(one, name), getattr(sender, name)) for name in WEIGHT]
    asked = [(name, wanted, found) for name, wanted, found in said if wanted]
    if not asked:
        return None
    if all(wanted == found for _, wanted, found in asked):
        return True
    for name, wanted, found in asked:
        if name == "site_id" and wanted != found:
            return None
        if wanted != found and normal(name, wanted) != (normal(name, found) or None):
            return None
    return False


def _weight(one: Fingerprint) -> int:
    return sum(weight for field, weight in WEIGHT.items() if getattr(one, field))


def _end(unit_id: str, units: Mapping[str, Unit]) -> str:
    """The unit that this one was found to be, or itself."""
    here = unit_id
    for _ in range(MOST_STEPS):
        there = units[here].merged_into
        if there not in units:
            return here
        here = there
    return unit_id


def site_of_facility(facility_id: str, facilities: Mapping[str, Facility]) -> str:
    """The site that takes a facility's images: its own, else of what it belongs to; "": none."""
    for _ in range(MOST_STEPS):
        facility = facilities.get(facility_id)
        if facility is None:
            return ""
        if facility.site_id:
            return facility.site_id
        facility_id = facility.merged_into or facility.parent_id
    return ""


def sites_of_units(
    units: Mapping[str, Unit], facilities: Mapping[str, Facility],
    homes: Mapping[str, frozenset[str]],
) -> dict[str, frozenset[str]]:  # fmt: skip
    """Sites at which each unit's images may arrive without being asked for by name."""
    own: dict[str, frozenset[str]] = {}
    for facility_id in facilities:
        site_id = site_of_facility(facility_id, facilities)
        own[facility_id] = frozenset((site_id,)) if site_id else _NOWHERE
    found = {unit_id: own.get(unit.facility_id, _NOWHERE) for unit_id, unit in units.items()}
    for unit_id, places in homes.items():
        unit = units.get(unit_id)
        if unit is not None and (len(places) > 1 or unit.facility_id not in places):
            found[unit_id] = found[unit_id].union(*(own.get(home, _NOWHERE) for home in places))
    return found


_NOWHERE: frozenset[str] = frozenset()
