"""The short way for objects that are asked for by the thousand leads where the long one does."""

from collections.abc import Iterator

import pytest
from flask import Flask, Response, request

from gateway.web import create_app
from gateway.web.application import Application
from tests.web.indexed import indexed_gateway

INSTANCE = "/dicom-web/studies/1.2/series/1.3/instances/1.4"
PATHS = [
    INSTANCE,
    f"{INSTANCE}/frames/7",
    f"/sites/gkb-1{INSTANCE}",
    f"/sites/gkb-1{INSTANCE}/frames/7",
]


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with indexed_gateway(tmp_path_factory.mktemp("application"), {"gkb-1": []}) as gateway:
        yield create_app(gateway)


@pytest.mark.parametrize("path", PATHS)
def test_an_object_is_found_by_the_rule_that_werkzeug_chooses(
    application: Flask, path: str
) -> None:
    rule, values = application.url_map.bind("").match(path, "GET", return_rule=True)
    with application.test_request_context(path) as context:
        assert context.url_adapter is None, "not by the short way"
        assert (request.url_rule, request.view_args) == (rule, values)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("HEAD", INSTANCE),
        ("OPTIONS", INSTANCE),
        ("GET", f"/{INSTANCE}"),
        ("GET", f"{INSTANCE}/"),
        ("GET", f"{INSTANCE}/frames/1,2"),
        ("GET", f"{INSTANCE}/rendered"),
        ("GET", f"/sites/GKB{INSTANCE}"),
        ("GET", INSTANCE.replace("1.4", "a")),
        ("GET", INSTANCE.replace("1.4", "١")),
    ],
)
def test_every_other_request_is_matched_by_werkzeug(
    application: Flask, method: str, path: str
) -> None:
    with application.test_request_context(path, method=method) as context:
        assert context.url_adapter is not None


def test_no_hook_is_left_out_on_the_short_way() -> None:
    app = Application("short")
    app.add_url_rule(
        "/dicom-web/studies/<study>/series/<series>/instances/<instance>",
        "object",
        lambda **uids: Response(",".join(uids.values())),
    )
    refused: list[str] = []

    @app.before_request
    def before() -> Response | None:
        if request.headers.get("X-Caller") == "stranger":
            refused.append(request.path)
            return Response(status=403)
        return None

    @app.after_request
    def after(answer: Response) -> Response:
        answer.headers["X-Seen"] = "yes"
        return answer

    client = app.test_client()
    allowed = client.get(INSTANCE)
    assert (allowed.text, allowed.headers["X-Seen"]) == ("1.2,1.3,1.4", "yes")
    stranger = client.get(INSTANCE, headers={"X-Caller": "stranger"})
    assert (stranger.status_code, refused, stranger.headers["X-Seen"]) == (403, [INSTANCE], "yes")
