"""Where one index is trusted to hold all names that a key takes."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.dicom.names import fold, latin
from gateway.index.terms import latin_is_enough

LETTERS = st.text("абвгдеёжзийклмнопрстуфхцчшщъыьэюяabcehikopqstwxyzâžščëö '-^", max_size=8)


@settings(max_examples=1000, deadline=None)
@given(LETTERS, LETTERS)
def test_the_latin_form_of_a_beginning_is_a_beginning_where_the_index_relies_on_it(start, rest):
    form, whole = fold(start), fold(start + rest)
    assume(whole.startswith(form) and latin_is_enough(form + "*"))
    assert latin(whole).startswith(latin(form))
