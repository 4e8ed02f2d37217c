"""The real OpenID provider of tests/provider, and somebody who signs in there with a browser."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin

import requests
from joserfc.jwk import RSAKey

from gateway.demo.servers import REPOSITORY, Program, answers, free_port
from tests.web.forms import forms_of

INSTALLED = REPOSITORY / ".provider"
SCRIPT = REPOSITORY / "tests" / "provider" / "provider.mjs"
CLIENT_ID, SECRET, AUDIENCE = "gateway", "a secret of: the gateway & its issuer", "gateway-images"


@dataclass
class Provider:
    """A provider at one port; it forgets its sessions when it is started anew."""

    folder: Path
    gateway_url: str
    groups: Mapping[str, Sequence[str]]
    port: int = field(default_factory=free_port)
    program: Program | None = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, kid: str) -> None:
        """With one signing key of this name, made now."""
        assert (INSTALLED / "node_modules").is_dir(), "run .ci/install test"
        key = RSAKey.generate_key(2048, private=True).as_dict(private=True)
        said = {
            "installed": str(INSTALLED), "issuer": self.issuer, "port": self.port,
            "client_id": CLIENT_ID, "client_secret": SECRET, "algorithm": "RS256",
            "redirect_uri": self.gateway_url + "/login/outside/return",
            "logout_uri": self.gateway_url + "/login/outside/logout",
            "groups": self.groups, "jwks": {"keys": [key | {"kid": kid, "use": "sig"}]},
        }  # fmt: skip
        file = self.folder / "provider.json"
        file.write_text(json.dumps(said), encoding="utf-8")
        node = shutil.which("node")
        assert node, "run .ci/install test"
        self.program = Program(
            "provider", [node, str(SCRIPT), str(file)], self.folder / "provider.log",
            ready=lambda: answers(self.port, "/jwks"),
        )  # fmt: skip
        self.program.start()

    def stop(self) -> None:
        if self.program is not None:
            self.program.stop()
        self.program = None

    def token_of_program(self) -> str:
        """An access token for DICOMweb, of the client itself."""
        form = {"grant_type": "client_credentials"}
        answer = requests.post(
            self.issuer + "/token", data=form, auth=("gateway", requests.utils.quote(SECRET, "")),
            timeout=30,
        )  # fmt: skip
        return str(answer.json()["access_token"])


class Browser:
    """Follows pages and forms as a person's browser does, cookies and all; runs no script."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, url: str) -> requests.Response:
        return self.session.get(url, timeout=30)

    def send(self, page: requests.Response, ending: str, **values: str) -> requests.Response:
        """The page's form whose address ends so."""
        forms = dict(forms_of(page.text))
        action = next(address for address in forms if address.endswith(ending))
        form = forms[action].to_dict() | values
        place = urljoin(page.url, action)
        return self.session.post(
            place, data=form, timeout=30, headers={"Origin": place[: place.index("/", 8)]}
        )
