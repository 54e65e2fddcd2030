"""The forms of an HTML page, as a browser would send them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Form:
    """A form: where it goes, what can be filled in, and what is filled in already."""

    action: str
    method: str
    names: set[str] = field(default_factory=set)
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, str] = field(default_factory=dict)

    def filled(self, values: dict[str, str]) -> dict[str, str]:
        """What is sent: the page's own values, these, and the first button unless one is among them."""
        pressed = {} if self.buttons.keys() & values.keys() else dict(list(self.buttons.items())[:1])
        return self.fields | pressed | values


class _Reader(HTMLParser):
    form: Form | None = None
    select = ""  # the name of the one that is open
    text = ""  # the field whose value is the text to come: a textarea's, an option's

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name, value, kind = given.get("name", ""), given.get("value", ""), given.get("type", "").lower()
        box = kind in ("checkbox", "radio")
        if tag == "form":
            self.form = Form(given.get("action", ""), given.get("method", "get").lower())
            self.forms.append(self.form)
        elif self.form is None or "disabled" in given:
            return
        elif tag == "option" and self.select:
            if "selected" in given or self.select not in self.form.fields:
                self.form.fields[self.select] = value
                self.text = "" if "value" in given else self.select
        elif tag in ("input", "button", "select", "textarea") and name:
            self.form.names.add(name)
            if tag == "select":
                self.select = name
            elif kind in ("submit", "image") or (tag == "button" and not kind):
                self.form.buttons.setdefault(name, value)
            elif kind not in ("button", "reset", "file") and (not box or "checked" in given):
                self.form.fields[name] = given.get("value", "on" if box else "")
                self.text = name if tag == "textarea" else ""

    def handle_data(self, data: str) -> None:
        if self.form is not None and self.text:
            self.form.fields[self.text] += data.strip() if self.select else data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
        elif tag in ("select", "option", "textarea"):
            self.text = ""
            self.select = "" if tag == "select" else self.select


def forms(html: str) -> list[Form]:
    """All forms of a page, in their order."""
    reader = _Reader()
    reader.feed(html)
    return reader.forms
