"""Accept: golden headers of real clients, choices, refusals."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.media_types import (
    Choice,
    MediaRange,
    choose_bulkdata,
    choose_metadata,
    choose_rendered,
    choose_rows,
    dicom_offers,
    format_content_type,
    frame_offers,
    negotiate,
    parse_accept,
    parse_content_type,
    rank,
    upstream_accept,
)
from gateway.errors import BadRequest, NotAcceptable

MULTI = "multipart/related"
OCTETS = "application/octet-stream"
DICOM = "application/dicom"
JSON = "application/dicom+json"


def choose_dicom(ranges):
    return negotiate(ranges, dicom_offers())


def choose_frames(ranges):
    return negotiate(ranges, frame_offers())


CHOOSERS = {
    "dicom": choose_dicom,
    "frames": choose_frames,
    "bulkdata": choose_bulkdata,
    "metadata": choose_rows,
    "store": choose_metadata,
    "rendered": choose_rendered,
}


def one_instance(ranges):
    return negotiate(ranges, dicom_offers(one_instance=True))


def one_frame(ranges):
    return negotiate(ranges, frame_offers(one_frame=True))


GOLDEN = [
    # OHIF
    (choose_frames, f'{MULTI}; type="{OCTETS}"; transfer-syntax="*"', (MULTI, OCTETS, "*", False)),
    (choose_frames, f"{MULTI}; type={OCTETS}; transfer-syntax=*", (MULTI, OCTETS, "*", False)),
    (
        choose_metadata,
        f"{JSON}, {MULTI}; type={OCTETS}; transfer-syntax=*",
        (JSON, None, None, True),
    ),
    (
        choose_frames,
        f'{MULTI}; type="image/dicom+jpeg"; transfer-syntax="1.2.840.10008.1.2.4.51"',
        (MULTI, "image/jpeg", "1.2.840.10008.1.2.4.51", False),
    ),
    # dicomweb-client
    (choose_frames, f'{MULTI}; type="*/*"', (MULTI, OCTETS, None, False)),
    (choose_bulkdata, f'{MULTI}; type="*/*"', (MULTI, OCTETS, None, False)),
    (choose_bulkdata, f'{MULTI}; type="{OCTETS}"', (MULTI, OCTETS, None, False)),
    (choose_dicom, f'{MULTI}; type="{DICOM}"', (MULTI, DICOM, None, False)),
    (choose_metadata, f"{JSON}, application/json", (JSON, None, None, True)),
    (
        choose_dicom,
        f'{MULTI}; type="{DICOM}"; transfer-syntax=*, {MULTI}; type="{DICOM}"',
        (MULTI, DICOM, "*", False),
    ),
    # Weasis
    (choose_dicom, f"{MULTI};type={DICOM};transfer-syntax=*", (MULTI, DICOM, "*", False)),
    (
        choose_dicom,
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        (MULTI, DICOM, None, False),
    ),
    # dicom-microscopy-viewer: the parameter inside of the quotes
    (
        choose_frames,
        f'{MULTI}; type="{OCTETS}; transfer-syntax=*"',
        (MULTI, OCTETS, "*", False),
    ),
    (
        choose_frames,
        f'{MULTI}; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.50, '
        f'{MULTI}; type="{OCTETS}"; q=0.5',
        (MULTI, "image/jpeg", "1.2.840.10008.1.2.4.50", False),
    ),
    # Healthcare API viewer, browsers, curl
    (
        choose_frames,
        f'{MULTI};type="{OCTETS}";transfer-syntax=1.2.840.10008.1.2.1',
        (MULTI, OCTETS, "1.2.840.10008.1.2.1", False),
    ),
    (
        choose_rendered,
        "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
        ("image/png", None, None, True),
    ),
    (choose_rendered, "image/*", ("image/jpeg", None, None, True)),
    (
        choose_metadata,
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        (JSON, None, None, True),
    ),
    (choose_metadata, "application/dicom json", (JSON, None, None, True)),
    (choose_dicom, "Multipart/Related; Type=Application/DICOM", (MULTI, DICOM, None, False)),
    (choose_dicom, MULTI, (MULTI, DICOM, None, False)),
    (one_instance, DICOM, (DICOM, DICOM, None, True)),
    (one_instance, f"{DICOM}; transfer-syntax=*", (DICOM, DICOM, "*", True)),
    (one_instance, "*/*", (MULTI, DICOM, None, False)),
    (one_frame, OCTETS, (OCTETS, OCTETS, None, True)),
    (one_frame, "image/jpeg", ("image/jpeg", "image/jpeg", None, True)),
    (choose_bulkdata, f"{OCTETS}; transfer-syntax=*", (OCTETS, OCTETS, None, True)),
    # single quotes, a lost "+", quotes around all parameters
    (choose_dicom, f"{MULTI}; type='{DICOM}'; transfer-syntax='*'", (MULTI, DICOM, "*", False)),
    (
        choose_rows,
        f'{MULTI}; type="application/dicom xml"',
        (MULTI, "application/dicom+xml", None, False),
    ),
    # 10.4.4: bulk data of all that there is, also where a transfer syntax is named
    (choose_dicom, f'{MULTI}; type="{OCTETS}"', (MULTI, OCTETS, None, False)),
    (choose_dicom, f'{MULTI}; type="{OCTETS}"; transfer-syntax=*', (MULTI, OCTETS, None, False)),
    (choose_dicom, "application/zip", ("application/zip", None, None, True)),
    (choose_dicom, "application/zip; transfer-syntax=*", ("application/zip", None, "*", True)),
    (choose_rendered, "text/html, application/xhtml+xml", ("text/html", None, None, True)),
    (choose_rendered, "application/pdf", ("application/pdf", None, None, True)),
]


@pytest.mark.parametrize(("choose", "accept", "expected"), GOLDEN)
def test_what_clients_send_becomes_one_choice(choose, accept, expected):
    assert choose(parse_accept([accept])) == Choice(*expected)


@pytest.mark.parametrize("accept", [[], [""], ["*/*"], [" , ,"], ["*"]])
def test_without_a_wish_the_default_of_the_standard_is_given(accept):
    ranges = parse_accept(accept)
    assert {name: choose(ranges) for name, choose in CHOOSERS.items()} == {
        "dicom": Choice(MULTI, DICOM),
        "frames": Choice(MULTI, OCTETS),
        "bulkdata": Choice(MULTI, OCTETS),
        "metadata": Choice(JSON, single_part=True),
        "store": Choice(JSON, single_part=True),
        "rendered": Choice("image/jpeg", single_part=True),
    }


@pytest.mark.parametrize(
    ("choose", "accept"),
    [
        (choose_dicom, f"{MULTI}; type={DICOM}; transfer-syntax=1.2.840.10008.1.2"),
        (choose_dicom, f"{MULTI}; type={DICOM}; transfer-syntax=1.2.840.10008.1.2.2"),
        (choose_dicom, f"{MULTI}; type={DICOM}; transfer-syntax=1.2.3"),
        (choose_dicom, DICOM),
        (choose_dicom, OCTETS),
        (choose_dicom, f"{DICOM}, application/zip; q=0"),
        (choose_dicom, "*/*;q=0"),
        (choose_dicom, f"*/*, {MULTI}; q=0, application/zip; q=0"),
        (choose_frames, "image/jpeg"),
        (choose_frames, f"{MULTI}; type=image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.80"),
        (choose_frames, f"{MULTI}; type=text/html"),
        (choose_metadata, f"{MULTI}; type=application/dicom+xml"),
        (choose_rendered, "image/webp"),
        (choose_rendered, f"{MULTI}; type=image/jpeg"),
    ],
)
def test_what_we_cannot_give_is_not_acceptable(choose, accept):
    with pytest.raises(NotAcceptable) as caught:
        choose(parse_accept([accept]))
    assert caught.value.field == "Accept"


def test_several_headers_are_one_list():
    assert parse_accept([f"{MULTI}; type={DICOM}; q=0.2", "image/png, image/jpeg;quality=90"]) == (
        MediaRange(MULTI, DICOM, None, 0.2),
        MediaRange("image/png"),
        MediaRange("image/jpeg", parameters=(("quality", "90"),)),
    )


@pytest.mark.parametrize(
    ("accepts", "expected"),
    [
        (["image/jpeg;q=0.3, image/png;q=0.4"], "image/png"),
        (["image/jpeg, image/png"], "image/jpeg"),
        (["image/png, image/*"], "image/png"),
        (["image/*, image/jpeg;q=0"], "image/png"),
    ],
    ids=["higher q", "our order among equals", "the exact name first", "q=0 forbids"],
)
def test_choice_goes_by_q_then_exactness_then_our_order(accepts, expected):
    assert choose_rendered(parse_accept(accepts)).media_type == expected


@pytest.mark.parametrize(
    ("asked", "header", "expected"),
    [
        ("image/png", "image/jpeg", "image/png"),
        ("image/png;q=0.1", "image/jpeg", "image/png"),
        ("image/webp", "image/gif, image/png;q=0.9", "image/gif"),
        ("image/webp", "text/html, */*;q=0.1", "text/html"),
        ("image/webp", "video/mp4", None),
        ("image/webp, image/png;q=0", "*/*", "image/jpeg"),
    ],
)
def test_what_a_parameter_names_in_vain_the_header_may_name(asked, header, expected):
    """8.7.8.1: each of the two is ranked by itself."""
    with pytest.raises(NotAcceptable) if expected is None else contextlib.nullcontext():
        assert choose_rendered(parse_accept([asked], [header])).media_type == expected


def test_what_is_acceptable_is_ranked_so_that_the_next_can_be_tried():
    accept = f'{MULTI}; type="image/jls", {MULTI}; type="{OCTETS}"; q=0.5, image/jp2; q=0.7'
    found = rank(parse_accept([accept]), frame_offers(one_frame=True))
    assert [choice.part_type for choice in found] == ["image/jls", "image/jp2", OCTETS]


@pytest.mark.parametrize(
    "accept",
    [
        "*/*;q=NaN", "*/*;q=inf", "*/*;q=-1", "*/*;q=2", "*/*;q=1e1", "*/*;q=", "a", "a/b/c",
        'a/b;type="x', "a/b;x", "a/b;=x", "a/b;x y=z", f"{MULTI};type=dicom",
        "a/b;transfer-syntax=1.2.x", "é/b", "a/b\nc", "a/" + "b" * 8200, ",".join(["a/b"] * 101),
    ],
)  # fmt: skip
def test_a_broken_accept_is_refused_by_name(accept):
    ranges = None
    with pytest.raises(BadRequest) as caught:
        ranges = parse_accept([accept])
    assert caught.value.field == "Accept"
    assert ranges is None


def test_a_long_accept_is_read_in_one_pass():
    parse_accept(["*/*" + ";x=1" * 2000])
    parse_accept(['a/b;x="' + '\\"' * 4000 + '"'])


@given(st.lists(st.text(max_size=60) | st.sampled_from([case[1] for case in GOLDEN]), max_size=3))
def test_any_accept_gives_a_choice_or_a_refusal(accepts):
    with contextlib.suppress(BadRequest):
        ranges = parse_accept(accepts)
        for choose in (*CHOOSERS.values(), one_instance, one_frame):
            with contextlib.suppress(NotAcceptable):
                assert isinstance(choose(ranges), Choice)


@given(st.text('ab/;,="\\ *q.0', max_size=40))
def test_any_punctuation_is_read_or_refused(accept):
    with contextlib.suppress(BadRequest):
        assert isinstance(parse_accept([accept]), tuple)
    with contextlib.suppress(BadRequest):
        assert isinstance(parse_content_type(accept), tuple)


@given(
    st.dictionaries(
        st.text("abcxyz-", min_size=1, max_size=8).filter(lambda name: name != "type"),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=12).map(str.strip),
        max_size=4,
    )
)
def test_a_content_type_is_read_as_it_was_written(parameters):
    written = format_content_type("multipart/related", {"type": "application/dicom"} | parameters)
    assert parse_content_type(written) == (MULTI, {"type": DICOM} | parameters)


def test_a_slash_in_type_is_quoted():
    assert (
        format_content_type(MULTI, {"type": DICOM, "boundary": "abc"})
        == 'multipart/related; type="application/dicom"; boundary=abc'
    )


def test_what_orthanc_puts_inside_the_quotes_comes_out():
    value = f'{MULTI}; type="image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"; Boundary=4c-8c'
    assert parse_content_type(value) == (
        MULTI,
        {"transfer-syntax": "1.2.840.10008.1.2.4.80", "type": "image/jls", "boundary": "4c-8c"},
    )


@pytest.mark.parametrize(
    ("value", "parameters"),
    [
        ("; boundary=4c-8c", {"boundary": "4c-8c"}),
        (';boundary="4c-8c"; boundary=x', {"boundary": "4c-8c"}),
        ('; x="; boundary=4c"', {"x": "; boundary=4c"}),
        ('; boundary="4c', None),
        (", c/d; boundary=4c", None),
    ],
    ids=["as a token", "the first counts", "inside quotes", "without its partner", "of two types"],
)
def test_a_boundary_at_the_end_is_read_like_any_other(value, parameters):
    if parameters is not None:
        assert parse_content_type(MULTI + value) == (MULTI, parameters)
        return
    with pytest.raises(BadRequest):
        parse_content_type(MULTI + value)


@pytest.mark.parametrize("value", ["", "a", "a/b, c/d", 'a/b; x="', "a/" + "b" * 9000])
def test_a_broken_content_type_is_refused_by_name(value):
    with pytest.raises(BadRequest) as caught:
        parse_content_type(value)
    assert caught.value.field == "Content-Type"


@pytest.mark.parametrize(
    ("choice", "accept"),
    [
        (Choice(MULTI, DICOM), f'{MULTI}; type="{DICOM}"'),
        (Choice(DICOM, DICOM, "*", True), f'{MULTI}; type="{DICOM}"; transfer-syntax=*'),
        (Choice(MULTI, OCTETS, "*"), f'{MULTI}; type="{OCTETS}"; transfer-syntax=*'),
        (Choice("image/jpeg", "image/jpeg", None, True), f'{MULTI}; type="image/jpeg"'),
        (Choice("image/jpeg", None, None, True), "image/jpeg"),
        (Choice(JSON, None, None, True), JSON),
    ],
)
def test_a_site_is_asked_in_the_words_it_knows(choice, accept):
    assert upstream_accept(choice) == accept
