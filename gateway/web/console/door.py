"""`/console`: where hospital IT sees what waits, runs and failed, and acts on it.

One blueprint; each page brings its routes. Every act is recorded with who did it.
"""

from functools import partial

from flask import Blueprint

from gateway.bootstrap import Gateway
from gateway.web.console import (
    alarms,
    deliveries,
    destinations,
    finding,
    frame,
    overview,
    reconciliation,
    rule_desk,
    rule_trying,
    rules,
    sites,
    studies,
    versions,
    why,
)


def create_blueprint(gateway: Gateway) -> Blueprint:
    """All pages of the console."""
    door = Blueprint("console", __name__, url_prefix="/console")
    frame.guard(door, partial(frame.problem_page, gateway))
    for page in (
        overview,
        deliveries,
        finding,
        studies,
        why,
        destinations,
        reconciliation,
        sites,
        alarms,
        rules,
        rule_desk,
        rule_trying,
        versions,
    ):
        page.add_routes(door, gateway)
    return door
