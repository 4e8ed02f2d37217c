"""H32: a destination's name that was allowed must not lead to this host later."""

import socket
from dataclasses import replace
from ssl import create_default_context
from typing import Any

import pytest

from gateway.clock import Deadline
from gateway.errors import SiteUntrusted
from gateway.orthanc import addresses
from gateway.orthanc.addresses import Addresses
from gateway.orthanc.connection import connect
from tests.fakes import a_site


@pytest.fixture
def resolved_here(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server on this host to which every name leads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = [(socket.AF_INET, server.getsockname())]
        monkeypatch.setattr(addresses, "look_up", lambda _host, _port: found)
        yield server


@pytest.mark.parametrize(
    ("host", "guarded", "is_taken"),
    [
        ("archive.example", True, False),
        ("archive.example", False, True),
        ("127.0.0.1", True, True),
        ("localhost", True, True),
    ],
)
def test_a_name_that_leads_to_this_host_is_not_taken(
    resolved_here: Any, host: str, guarded: bool, is_taken: bool
) -> None:
    site = replace(
        a_site("to", url=f"http://{host}:{resolved_here.getsockname()[1]}"), guarded=guarded
    )
    if is_taken:
        connect(site, Deadline(30), Addresses(), lambda _: create_default_context()).close()
        return
    with pytest.raises(SiteUntrusted):
        connect(site, Deadline(30), Addresses(), lambda _: create_default_context())
