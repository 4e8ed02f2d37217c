"""The upload page: a folder of files goes to a hospital through the same store route as any
viewer's images (static/upload.js makes the requests and tells each file's fate in words)."""

from flask import Blueprint, Response, render_template

from gateway.bootstrap import Gateway
from gateway.model.access import Action
from gateway.web.permissions import needs
from gateway.web.scope import scope_of

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def create_blueprint(gateway: Gateway) -> Blueprint:
    """`/upload`, in Russian with English beside it."""
    door = Blueprint("upload", __name__)

    @door.get("/upload")
    @needs(Action.STORE)
    def upload() -> Response:
        scope = scope_of(gateway, None)
        home = scope.by_id[scope.home_site(gateway.region)]
        page = render_template("upload.html", region=gateway.region, sites=scope.sites, home=home)
        answer = Response(page)
        answer.headers["Content-Security-Policy"] = PAGE_POLICY
        return answer

    return door
