"""Every route names what it needs (`needs`), and one place decides, before any door is reached.

A route that names nothing stops the application at its start, and a test with it. What lies outside
of an actor's reach is answered in the words of what does not exist (trust.md H54, H88).
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Flask, Response, g, request
from werkzeug.routing import Rule

from gateway.dicom.uids import is_lenient_uid
from gateway.errors import NotAllowed, NotFound, NotSignedIn
from gateway.model.access import (
    EVERYTHING,
    LOCAL_OPERATOR,
    NOBODY,
    STEP_UP,
    Action,
    Actor,
    Decision,
    Reason,
    Thing,
    allow,
    at,
)
from gateway.web.auditing import SAFE, Auditor

P = ParamSpec("P")
R = TypeVar("R")
Identify = Callable[[], Actor]
"""Who sends the request at hand; raises NotSignedIn for credentials that are no good."""

OPEN_FILES = frozenset({"home.static"})  # Flask's own routes: styles, scripts and icons of pages


def needs(
    action: Action, *, written: bool = True, export: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Name the permission of a view; stands below the route's decorator.

    written  False: the view decides once more, when it has read what is asked for, and that is
             what the audit keeps
    export   a file that is carried away: the audit keeps each, also where it does not keep looks
    """

    def name(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def named(*args: P.args, **kwargs: P.kwargs) -> R:
            return view(*args, **kwargs)

        named.needs = action  # type: ignore[attr-defined]
        named.written = written  # type: ignore[attr-defined]
        named.export = export  # type: ignore[attr-defined]
        return named

    return name


def action_of(app: Flask, rule: Rule) -> Action | None:
    """What a route needs; None if it does not say."""
    if rule.endpoint in OPEN_FILES:
        return Action.OPEN
    return getattr(app.view_functions[rule.endpoint], "needs", None)


def decide(action: Action, thing: Thing, *, written: bool = True) -> Decision:
    """Decide for the actor of this request, and keep to it from here on (scope_of).

    written  False: what is allowed here leaves no line of its own
    raises   NotSignedIn, NotAllowed; NotFound for what lies outside
    """
    decision = allow(g.actor, action, thing)
    auditor = g.get("auditor")
    if decision.reason is Reason.NOBODY:
        raise NotSignedIn
    if auditor is not None and not decision.allowed:
        auditor.refused(action, thing, str(decision.reason))
    if decision.reason is Reason.ROLE:
        raise NotAllowed
    if not decision.allowed:
        raise NotFound("study" if thing.study_uid else "site")
    g.decision = decision
    if auditor is not None and written and auditor.began(action, thing):
        g.begun = (action, thing)
    return decision


def may(action: Action) -> bool:
    """Whether the actor of this request may do so at all, somewhere."""
    return allow(g.actor, action).allowed


def register(
    app: Flask, identify: Identify | None, auditor: Auditor | None = None,
    step_up: Callable[[], Response | None] | None = None,
) -> None:  # fmt: skip
    """Take the decision for every request; to be called when all routes stand.

    identify  None: everyone who comes is the local operator
    auditor   writes down what was decided; None: nobody does
    step_up   asked before a form of a session does something of STEP_UP; its page is the answer
    """
    nameless = [rule.rule for rule in app.url_map.iter_rules() if action_of(app, rule) is None]
    if nameless:
        raise AssertionError(f"routes without a permission: {', '.join(sorted(nameless))}")

    @app.before_request
    def judge() -> Response | None:
        written = request.method != "OPTIONS"  # it asks what can be asked
        if request.method == "OPTIONS":
            if request.headers.get("Access-Control-Request-Method"):
                return None  # a browser asks without credentials whether it may ask
            action: Action | None = Action.SEARCH
        elif request.url_rule is None:
            return None  # 404 or 405 in Flask's words
        else:
            action = action_of(app, request.url_rule)
            view = app.view_functions[request.url_rule.endpoint]
            written = getattr(view, "written", True)
            g.is_export = getattr(view, "export", False)
        if identify is None:
            g.actor = LOCAL_OPERATOR
        else:
            g.auditor = auditor
            try:
                g.actor = NOBODY if action is Action.OPEN else identify()
            except (NotSignedIn, NotAllowed):
                if auditor is not None:
                    auditor.refused(action or Action.SEARCH, EVERYTHING, "credentials")
                raise
        named = request.view_args or {}
        study_uid = named.get("study") or named.get("study_uid")
        if study_uid is not None and not is_lenient_uid(study_uid):
            study_uid = None  # the view says so; what else a path may hold is not for the audit
        decide(action or Action.SEARCH, at(named.get("site_id"), study_uid), written=written)
        is_form = request.method not in SAFE and g.actor.kind == "session"
        return step_up() if step_up is not None and is_form and action in STEP_UP else None
