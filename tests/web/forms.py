"""The forms of a page as a browser without a script sends them."""

from html.parser import HTMLParser

from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict


class _Reader(HTMLParser):
    """Collects the inputs of every form; a select gives its selected option or its first."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, MultiDict]] = []
        self._open = False
        self._select: tuple[str, list[tuple[str, bool]]] | None = None
        self._text: tuple[str, str] | None = None

    def handle_starttag(self, tag, attrs):
        of = dict(attrs)
        name, value = of.get("name"), of.get("value", "")
        if tag == "form":
            self.forms.append((of.get("action", ""), MultiDict()))
            self._open = True
        elif tag == "select":
            self._select = (name, [])
        elif tag == "option" and self._select:
            self._select[1].append((of.get("value"), "selected" in of))
        elif tag == "textarea":
            self._text = (name, "")
        elif tag == "input" and name and self._open and _is_sent(of):
            self.forms[-1][1].add(name, value)

    def handle_data(self, data):
        if self._text:
            self._text = (self._text[0], self._text[1] + data)
        elif self._select and self._select[1] and self._select[1][-1][0] is None:
            self._select[1][-1] = (data.strip(), self._select[1][-1][1])

    def handle_endtag(self, tag):
        if tag == "form":
            self._open = False
        elif tag == "select" and self._select:
            name, options = self._select
            chosen = [value for value, selected in options if selected] or [options[0][0]]
            self.forms[-1][1].add(name, chosen[0])
            self._select = None
        elif tag == "textarea" and self._text:
            self.forms[-1][1].add(*self._text)
            self._text = None


def _is_sent(of):
    return of.get("type") != "file" and (of.get("type") != "checkbox" or "checked" in of)


def forms_of(page: str) -> list[tuple[str, MultiDict]]:
    """(address, inputs) of each form of a page."""
    reader = _Reader()
    reader.feed(page)
    return reader.forms


def with_token(client: FlaskClient) -> FlaskClient:
    """The client, having opened a page of the console: it brings that page's token back."""
    page = client.get("/console/destinations").text
    tokens = [inputs["csrf_token"] for _, inputs in forms_of(page) if "csrf_token" in inputs]
    client.environ_base["HTTP_X_CSRFTOKEN"] = tokens[0]
    return client


def form_to(page: str, ending: str) -> MultiDict:
    """The inputs of the first form whose address ends so."""
    return next(inputs for address, inputs in forms_of(page) if address.endswith(ending))
