"""Forms are read from HTML and sent as a browser would."""

import pytest

from latchkey_kit.forms import forms


def sent(fields: str, **values: str) -> dict[str, str]:
    (form,) = forms(f"<html><body><form method=POST action='/go'>{fields}</form>")
    return form.filled(values)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ('<input type="hidden" name="csrf" value="a&amp;b">', {"csrf": "a&b"}),
        ("<INPUT NAME=plain>", {"plain": ""}),
        ('<input name="x" value="1"/>', {"x": "1"}),
        ('<input name="x" value="1" disabled>', {}),
        ('<input value="nameless">', {}),
        ('<input type="checkbox" name="x">', {}),
        ('<input type="checkbox" name="x" checked>', {"x": "on"}),
        (
            '<input type="radio" name="x" value="a"><input type="radio" name="x" value="b" checked>',
            {"x": "b"},
        ),
        ('<select name="x"><option value="a">A<option value="b">B</select>', {"x": "a"}),
        ('<select name="x"><option value="a">A<option value="b" selected>B</select>', {"x": "b"}),
        ('<select name="x"><option> Visa </option><option>Other</option></select> more', {"x": "Visa"}),
        ("<textarea name=x>some\ntext</textarea> more", {"x": "some\ntext"}),
        ('<button type="button" name="x" value="1">', {}),
        ('<input type="file" name="x">', {}),
        (
            '<input type="submit" name="do" value="first"><button name="other" value="second">',
            {"do": "first"},
        ),
    ],
)
def test_what_the_page_holds_is_sent(fields: str, expected: dict[str, str]) -> None:
    assert sent(fields) == expected


def test_a_button_that_is_named_is_pressed_in_place_of_the_first() -> None:
    buttons = '<button name="go" value="1">Go</button><button name="again" value="1">Again</button>'
    assert sent(buttons, again="1") == {"again": "1"}
    assert sent(f'<input name="code">{buttons}', code="123456") == {"code": "123456", "go": "1"}


def test_each_form_has_its_own_fields() -> None:
    html = '<form action="a"><input name="x"></form><input name="stray"><form method="post"><input name="y">'
    assert [(form.action, form.method, form.names) for form in forms(html)] == [
        ("a", "get", {"x"}),
        ("", "post", {"y"}),
    ]
