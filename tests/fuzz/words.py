"""What hostile callers write: well-formed words, nearly well-formed ones, and anything."""

from urllib.parse import quote, quote_from_bytes

from hypothesis import strategies as st

from tests.web.rows import U

KNOWN = (f"{U}.1", f"{U}.1.1", f"{U}.1.1.1", f"{U}.2", f"{U}.99")
NASTY = (
    "..", ".", "../..", "%2e%2e", "\x00", "\r\nX-Evil: 1", "١.٢", "1.2.03", "1" * 65, "0", "-1",
    "*", "1.2,1.3", "{{7*7}}", "' OR 1=1--", "<script>alert(1)</script>", "$(id)", "%s%n", "\\",
    "1e999", "NaN", "null", "[]", "\u202e", "\ud7ff", "\U0001f4a3", "a" * 2000,
)  # fmt: skip

uids = st.one_of(
    st.sampled_from(KNOWN),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=12).map(lambda n: ".".join(map(str, n))),
    st.from_regex(r"[0-9.]{1,70}", fullmatch=True),
)
texts = st.one_of(
    st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
)
words = st.one_of(uids, texts)
segments = st.one_of(
    uids,
    words.map(lambda word: quote(word, safe="")),
    st.binary(min_size=1, max_size=20).map(lambda raw: quote_from_bytes(raw, safe="")),
)
"""One segment of a path, as it stands on the wire."""

header_texts = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60)
"""What a header can carry: anything else is refused before the application."""
