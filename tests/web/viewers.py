"""A viewer that people let in, and a person's browser in which it asks."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import parse_qsl, urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.web.forms import form_to

OWN_PAGE = {"Origin": "http://localhost"}


@dataclass
class Viewer:
    """What a viewer knows of one try to be let in."""

    client_id: str
    home: str
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def asked(self, **changes: str) -> dict[str, str]:
        seen = hashlib.sha256(self.verifier.encode()).digest()
        return {
            "response_type": "code", "client_id": self.client_id, "redirect_uri": self.home,
            "state": "s1", "code_challenge_method": "S256",
            "code_challenge": base64.urlsafe_b64encode(seen).decode().rstrip("="),
        } | changes  # fmt: skip

    def ask(self, browser: FlaskClient, **changes: str) -> TestResponse:
        """Our page that the person sees, or the way back to the viewer."""
        lead = browser.get("/oauth/authorize", query_string=self.asked(**changes))
        if lead.status_code != 200:
            return lead
        (way,) = re.findall(r'content="0;url=([^"]+)"', lead.get_data(as_text=True))
        return browser.get(unescape(way), headers={"Accept": "text/html"})

    def let_in(self, browser: FlaskClient, answer: str = "yes", **changes: str) -> dict[str, str]:
        """What the viewer is told at its own address; `answer` is the person's."""
        page = self.ask(browser, **changes)
        if page.status_code == 200:
            form = form_to(page.get_data(as_text=True), "/oauth/consent")
            form["answer"] = answer
            page = browser.post("/oauth/consent", data=form, headers=OWN_PAGE)
        return self.told(page)

    def told(self, answer: TestResponse) -> dict[str, str]:
        assert answer.status_code == 303
        place, _, query = answer.headers["Location"].partition("?")
        assert place == self.home
        return dict(parse_qsl(query))

    def change(self, client: FlaskClient, code: str, **changes: str) -> TestResponse:
        """The code for a token, as the viewer's own script asks: no cookie comes with it."""
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self.home,
            "client_id": self.client_id, "code_verifier": self.verifier,
        }  # fmt: skip
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(self.home))
        return client.post("/oauth/token", data=form | changes, headers={"Origin": origin})
