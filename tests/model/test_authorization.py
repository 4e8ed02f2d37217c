"""What a viewer may ask for, and where its code may go (RFC 6749, 7636, 8252, 9700)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import OAuthRefused
from gateway.model.authorization import (
    answer_to,
    check_redirect_uri,
    destination_of,
    is_registered,
    is_verifier,
    read_asked,
    state_of,
)

HOME = "https://viewer.example/callback"
# RFC 7636, Appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
ASKED = {
    "response_type": ["code"], "client_id": ["c1"], "redirect_uri": [HOME], "state": ["s 1"],
    "code_challenge": [CHALLENGE], "code_challenge_method": ["S256"],
}  # fmt: skip


def refusal(**changes: list[str]) -> str:
    with pytest.raises(OAuthRefused) as caught:
        read_asked(ASKED | changes, HOME)
    return caught.value.code


def test_a_right_request_is_read():
    found = read_asked(ASKED, HOME)
    assert (found.client_id, found.redirect_uri, found.state) == ("c1", HOME, "s 1")
    assert (found.challenge, found.scope) == (CHALLENGE, ("images.read",))
    both = read_asked(ASKED | {"scope": ["images.write images.read"]}, HOME)
    assert both.scope == ("images.read", "images.write")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"response_type": ["token"]}, "unsupported_response_type"),
        ({"response_type": ["code id_token"]}, "unsupported_response_type"),
        ({"response_type": []}, "unsupported_response_type"),
        ({"response_mode": ["fragment"]}, "invalid_request"),
        ({"code_challenge": []}, "invalid_request"),
        ({"code_challenge": ["short"]}, "invalid_request"),
        ({"code_challenge_method": []}, "invalid_request"),
        ({"code_challenge_method": ["plain"], "code_challenge": [VERIFIER]}, "invalid_request"),
        ({"scope": ["openid"]}, "invalid_scope"),
        ({"state": ["a", "b"]}, "invalid_request"),
        ({"state": ["s\r\nSet-Cookie: x"]}, "invalid_request"),
        ({"state": ["s" * 513]}, "invalid_request"),
        ({"request": ["x"]}, "request_not_supported"),
        ({"request_uri": ["https://elsewhere.example"]}, "request_uri_not_supported"),
    ],
)
def test_anything_else_is_refused_in_the_words_of_oauth(changes, code):
    assert refusal(**changes) == code


def test_a_state_that_cannot_be_given_back_is_not():
    assert state_of({"state": ["s\r\n"]}) == ""
    assert state_of({}) == ""


@pytest.mark.parametrize(
    "given",
    [
        "https://viewer.example/callback/", "https://viewer.example/callback?x=1",
        "https://viewer.example:443/callback", "https://VIEWER.example/callback",
        "http://viewer.example/callback", "https://viewer.example.evil.example/callback",
        "https://viewer.example/callback/../other", "https://viewer.example\\@evil.example/callback",
        "https://x@viewer.example/callback", "//viewer.example/callback", "", "javascript:alert(1)",
        "https://viewer.example/callback#x", "http://[bad/callback", "https://viewer.example:x/",
    ],
)  # fmt: skip
def test_a_code_goes_to_the_registered_address_letter_by_letter(given):
    assert not is_registered(given, [HOME])
    with pytest.raises(OAuthRefused):
        destination_of({"redirect_uri": [given]}, [HOME])


def test_two_addresses_are_none():
    with pytest.raises(OAuthRefused):
        destination_of({"redirect_uri": [HOME, HOME]}, [HOME])
    assert destination_of({"redirect_uri": [HOME]}, [HOME]) == HOME


@pytest.mark.parametrize(
    ("given", "registered", "fits"),
    [
        ("http://127.0.0.1:53012/cb", "http://127.0.0.1/cb", True),
        ("http://[::1]:53012/cb", "http://[::1]/cb", True),
        ("http://127.0.0.1:53012/cb", "http://127.0.0.1:8080/cb", False),
        ("http://127.0.0.1:53012/other", "http://127.0.0.1/cb", False),
        ("http://127.0.0.1.evil.example:1/cb", "http://127.0.0.1/cb", False),
        ("http://127.0.0.1:1@evil.example/cb", "http://127.0.0.1/cb", False),
        ("http://localhost:53012/cb", "http://127.0.0.1/cb", False),
        ("https://viewer.example:8443/callback", HOME, False),
    ],
)
def test_only_a_program_on_the_persons_own_machine_chooses_its_port(given, registered, fits):
    assert is_registered(given, [registered]) is fits


@given(st.text(max_size=80) | st.from_regex(r"https?://[a-z0-9.:@\[\]/\\-]{0,40}"))
def test_no_text_breaks_the_comparison(text):
    assert is_registered(text, [HOME]) is (text == HOME)


@pytest.mark.parametrize(
    "uri",
    [HOME, "http://127.0.0.1/cb", "http://[::1]:8042/cb", "https://v.example/cb?tenant=1"],
)
def test_what_may_be_registered(uri):
    check_redirect_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "http://viewer.example/cb", "http://localhost/cb", "https:///cb", "weasis://cb", "/cb",
        "https://viewer.example/#x", "https://u:p@viewer.example/", "https://*.example/cb",
        "https://viewer.example/" + "a" * 600, "https://просмотр.example/", "https://v.example/ x",
    ],
)  # fmt: skip
def test_what_may_not_be_registered(uri):
    with pytest.raises(ValueError):
        check_redirect_uri(uri)


def test_the_verifier_of_the_standard_fits_its_challenge_and_no_other():
    assert is_verifier(CHALLENGE, VERIFIER)
    for other in (CHALLENGE, "", VERIFIER[:-1], VERIFIER + "=", "я" * 43, VERIFIER.lower()):
        assert not is_verifier(CHALLENGE, other)


def test_the_answer_says_who_it_comes_from():
    told = answer_to(HOME + "?tenant=1", "https://images.example", "a&b", code="c")
    assert told == HOME + "?tenant=1&code=c&state=a%26b&iss=https%3A%2F%2Fimages.example"
    assert "state" not in answer_to(HOME, "https://images.example", "", error="x")
