"""What a page's form has sent, with the token that says that the page was ours (trust.md H60)."""

from flask import request
from flask_wtf import FlaskForm


class SentForm(FlaskForm):
    """Filled by what a form sends; Flask-WTF would also read JSON, of any shape."""

    class Meta(FlaskForm.Meta):
        def wrap_formdata(self, form: FlaskForm, formdata: object) -> object:
            return None if formdata is None else request.form
