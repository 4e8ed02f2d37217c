"""Flask, less what it would do anew for each of the thousand frames of a series.

Measured at one frame: two fifths of all Python ran in Flask and Werkzeug, half of that for answers
that are the same each time. The doors, the hooks before and after them and every error stay where
they are: no request goes past any of them.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Request
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.routing import MapAdapter, Rule
from werkzeug.utils import cached_property

from gateway.errors import BadRequest

OBJECT = re.compile(
    r"(?:/sites/(?P<site_id>[a-z0-9-]+))?/dicom-web/studies/(?P<study>[0-9.]+)"
    r"/series/(?P<series>[0-9.]+)/instances/(?P<instance>[0-9.]+)"
    r"(?:/frames/(?P<frames>[0-9]+))?",
    re.ASCII,
)
"""What a viewer asks for by the thousand."""


class Asked(Request):
    """A request whose form any database can take: PostgreSQL has no place for NUL, and no word of
    a person has one. Paths are judged in scope.py, queries by who reads them.
    """

    @cached_property
    def form(self) -> ImmutableMultiDict[str, str]:
        """raises BadRequest that names the field"""
        found = super().form
        for name, value in found.items(multi=True):
            if "\0" in value:
                raise BadRequest(name if name.isidentifier() else "form", "holds a NUL")
        return found


class Sessions(SecureCookieSessionInterface):
    """Flask's own, signed and read with one signer: a new one costs more than it does."""

    _signer: URLSafeTimedSerializer | None = None

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        self._signer = self._signer or super().get_signing_serializer(app)
        return self._signer


class Application(Flask):
    """The WSGI application; doors are registered with it as with any other Flask."""

    request_class = Asked

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self.session_interface = Sessions()
        self._rules: dict[tuple[bool, bool], Rule] = {}

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """All doors and hooks are plain functions; Flask looks at each for each request."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """What matches the request's path; None if it is matched here already."""
        if request is not None and request.method == "GET":
            found = OBJECT.fullmatch(request.environ.get("PATH_INFO", ""))
            if found is not None:
                request.url_rule, request.view_args = self._rule_of(found.groupdict())
                return None
        return super().create_url_adapter(request)

    def _rule_of(self, groups: Mapping[str, str | None]) -> tuple[Rule, dict[str, Any]]:
        """The rule that Werkzeug chose for the first path of this form; the values of this one."""
        values = {name: value for name, value in groups.items() if value is not None}
        form = ("site_id" in values, "frames" in values)
        if form not in self._rules:
            site = f"/sites/{values['site_id']}" if form[0] else ""
            frame = f"/frames/{values['frames']}" if form[1] else ""
            path = f"{site}/dicom-web/studies/1/series/1/instances/1{frame}"
            self._rules[form], _ = self.url_map.bind("").match(path, "GET", return_rule=True)
        return self._rules[form], values
