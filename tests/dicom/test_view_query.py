"""window, viewport and quality (PS3.18 8.3.5): what they mean, and what is refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.view_query import (
    View,
    Viewport,
    Window,
    format_view,
    parse_view,
    view_as_dict,
    view_of,
)
from gateway.errors import BadRequest


@pytest.mark.parametrize(
    ("arguments", "view"),
    [
        ({}, View()),
        ({"window": "40,400,linear"}, View(window=Window(40, 400))),
        ({"window": "-600.5,.5,sigmoid"}, View(window=Window(-600.5, 0.5, "sigmoid"))),
        ({"viewport": "512,256"}, View(viewport=Viewport(512, 256))),
        ({"viewport": "9,8,10,20"}, View(viewport=Viewport(9, 8, 10, 20))),
        ({"viewport": "9,8,,,-30,40"}, View(viewport=Viewport(9, 8, 0, 0, -30, 40))),
        ({"quality": "100"}, View(quality=100)),
    ],
)
def test_a_view_is_read(arguments: dict[str, str], view: View) -> None:
    assert parse_view(arguments) == view


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window", "40,400"),
        ("window", "40,0,linear-exact"),
        ("window", "40,.5,linear"),
        ("window", "nan,1,linear"),
        ("window", "1e9,1,linear"),
        ("window", "40,400,cubic"),
        ("viewport", "0,10"),
        ("viewport", "9000,10"),
        ("viewport", "10"),
        ("viewport", "10,10,5"),
        ("viewport", "10,10,-5,5"),
        ("viewport", "10,10,5,5,0,5"),
        ("quality", "0"),
        ("quality", "101"),
        ("quality", "١٠"),
        ("annotation", "everything"),
        ("iccprofile", "mine"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_view({name: value})
    assert caught.value.field == name


SIDES = st.integers(1, 8192)
NUMBERS = st.integers(-99_999, 99_999).map(float)
SHARES = st.integers(1, 99_999).map(float)
VIEWS = st.builds(
    View,
    window=st.none() | st.builds(Window, NUMBERS, SHARES, st.sampled_from(["linear", "sigmoid"])),
    viewport=st.none()
    | st.builds(Viewport, SIDES, SIDES, SHARES, SHARES, st.none() | SHARES, st.none() | SHARES),
    quality=st.none() | st.integers(1, 100),
)


@given(VIEWS)
def test_a_view_is_written_so_that_it_reads_the_same(view: View) -> None:
    pairs = (pair.split("=") for pair in format_view(view).split("&") if pair)
    assert parse_view(dict(pairs)) == view
    assert view_of(view_as_dict(view)) == view
