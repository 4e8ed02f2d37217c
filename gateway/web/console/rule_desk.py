"""What a person does with the working copy of a rule set: order, states, one rule's form, trying.

Each button is a form's; its value says what to do and with which rule: "up:ct", "edit:r-02". A page
that comes back holds the whole working copy, so a lost page loses nothing that counts.
"""

from collections.abc import Sequence

from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.errors import BadRequest
from gateway.model.access import Action
from gateway.model.routing.actions import Action as RuleAction
from gateway.model.routing.mistakes import Mistake
from gateway.model.routing.rule_sets import MINISTRY, OTHERWISE, Rule
from gateway.web.console.frame import MOST_TEXT, back_to, own_form, show, text_of
from gateway.web.console.rule_form import (
    NEW_COMPARISON,
    Document,
    actions_of,
    branches,
    document_of,
    edit,
    form_actions,
    form_document,
    judge_otherwise,
    judge_rule,
)
from gateway.web.console.rule_telling import Teller
from gateway.web.console.rule_trying import order, try_files, try_study
from gateway.web.console.rule_view import view_of
from gateway.web.console.rule_words import (
    ACTION_WORDS,
    JOIN_WORDS,
    LANES_OF_RULES,
    LEVEL_WORDS,
    STATE_WORDS,
    VERIFY_WORDS,
)
from gateway.web.console.rule_work import FILES_BYTES, Work, go_on, owner_words
from gateway.web.console.rules import show_work, status_of, zone_of
from gateway.web.permissions import needs

OF_LAST_RULE = ("send", "hold")


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """POST /console/rules/{owner} and /console/rules/{owner}/rule"""
    own, own_files = own_form(gateway, MOST_TEXT), own_form(gateway, FILES_BYTES)

    @door.get("/rules/<owner>/rule")
    @needs(Action.READ_RULES)
    def no_rule(owner: str) -> Response:
        return back_to("console.rule_set", owner=owner)

    @door.post("/rules/<owner>")
    @needs(Action.WRITE_RULES)
    @own_files
    def work_on_rules(owner: str) -> Response:
        work = go_on(gateway, owner, request.form)
        act, _, rule_id = request.form.get("act", "look").partition(":")
        if act in ("edit", "new"):
            return _show_first(gateway, work, act, rule_id)
        if act in ("up", "down"):
            work = work.moved(rule_id, -1 if act == "up" else 1)
        elif act == "remove":
            work = work.without(rule_id)
        elif act == "try-files":
            return try_files(gateway, work, request.files.getlist("files"))
        elif act == "try-study":
            return try_study(gateway, work, text_of(request.form, "study"))
        elif act == "replay":
            return order(gateway, work, request.form)
        elif act != "look":
            raise BadRequest("act", "is none that this page has")
        return show_work(gateway, work)

    @door.post("/rules/<owner>/rule")
    @needs(Action.WRITE_RULES)
    @own
    def rule_form(owner: str) -> Response:
        work = go_on(gateway, owner, request.form)
        name = request.form.get("rule", "")
        act = request.form.get("act", "look")
        if act == "cancel":
            return show_work(gateway, work)
        form = branches(request.form.items(multi=True))
        last = name == OTHERWISE and owner != MINISTRY
        document = {"then": actions_of(form)} if last else document_of(form)
        act, _, place = act.partition(":")
        if act in ("add", "remove", "up", "down"):
            where, _, what = place.partition(":")
            if act == "add" and where == "then" and what not in ACTION_WORDS:
                raise BadRequest("act", "is none of " + ", ".join(ACTION_WORDS))
            edit(document, act, where, what)
        elif act not in ("look", "done"):
            raise BadRequest("act", "is none that this page has")
        judged, mistakes = _judge(gateway, work, document, name, last=last)
        if act == "done" and not mistakes:
            return show_work(gateway, _taken(work, judged, name))
        status = status_of(BadRequest("rule", "has mistakes")) if act == "done" else 200
        return show_rule(gateway, work, document, name, judged, mistakes, status=status)


def _show_first(gateway: Gateway, work: Work, act: str, rule_id: str) -> Response:
    """The form of a rule that is edited, of a new one, or of the last rule."""
    if act == "new":
        document: Document = {
            "id": work.free_id(), "name": "", "state": "shadow", "level": "study", "stop": False,
            "trigger": {"force_after_s": 3600}, "schedule": {"lane": "routine", "tz": "site"},
            "when": {"all": [dict(NEW_COMPARISON)]}, "then": [{"do": "send", "targets": []}],
        }  # fmt: skip
        return show_rule(gateway, work, document, "", None, ())
    if rule_id == OTHERWISE and work.owner != MINISTRY:
        actions = work.rule_set.otherwise
        return show_rule(gateway, work, {"then": form_actions(actions)}, rule_id, actions, ())
    rule = work.rule(rule_id)
    return show_rule(gateway, work, form_document(rule), rule_id, rule, ())


def _judge(
    gateway: Gateway, work: Work, document: Document, name: str, *, last: bool
) -> tuple[Rule | tuple[RuleAction, ...], Sequence[Mistake]]:
    targets = [one.destination_id for one in gateway.region.destinations]
    if last:
        return judge_otherwise(document["then"], targets)
    rule, mistakes = judge_rule(document, targets)
    others = {one.rule_id for one in work.rule_set.rules} - {name}
    if rule.rule_id in others:
        mistakes.append(Mistake(("id",), "id_twice", rule.rule_id))
    return rule, mistakes


def _taken(work: Work, judged: Rule | tuple[RuleAction, ...], name: str) -> Work:
    """The working copy with what the form says."""
    if isinstance(judged, Rule):
        return work.with_rule(judged, name)
    return work.with_otherwise(judged)


def show_rule(
    gateway: Gateway, work: Work, document: Document, name: str,
    judged: Rule | tuple[RuleAction, ...] | None, mistakes: Sequence[Mistake], *, status: int = 200,
) -> Response:  # fmt: skip
    """The form; a rule without mistakes is told in words too."""
    last = "when" not in document
    right, tell = judged is not None and not mistakes, Teller(gateway.region)
    return show(
        gateway, "rule", status=status, work=work, editing=name, last=last,
        view=view_of(document, mistakes, gateway.region), mistakes=mistakes,
        sentence=tell.rule(judged) if right and isinstance(judged, Rule) else None,
        sentences=tell.actions(judged) if right and isinstance(judged, tuple) else None,
        owner_words=owner_words(gateway.region, work.owner), joins=JOIN_WORDS,
        all_actions=ACTION_WORDS,
        actions={name: words for name, words in ACTION_WORDS.items()
                 if not last or name in OF_LAST_RULE},
        states=STATE_WORDS, lanes=LANES_OF_RULES, levels=LEVEL_WORDS, verify=VERIFY_WORDS,
        zone=zone_of(gateway, work.owner),
    )  # fmt: skip
