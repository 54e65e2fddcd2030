"""Any accent colour can be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchkey.domain.colours import CARD_DARK, CARD_LIGHT, accents, contrast


@given(st.integers(0, 0xFFFFFF).map("#{:06x}".format))
def test_any_accent_colour_is_readable_on_the_card_and_under_a_buttons_text(colour: str) -> None:
    made = accents(colour)
    for scheme, card in (("light", CARD_LIGHT), ("dark", CARD_DARK)):
        assert contrast(made[f"accent_{scheme}"], card) >= 4.5
        assert contrast(made[f"accent_fill_{scheme}"], card) >= 1.4
        assert contrast(made[f"on_accent_{scheme}"], made[f"accent_fill_{scheme}"]) >= 4.5


@pytest.mark.parametrize(
    ("colour", "ink"),
    [("#ffcc00", "#000000"), ("#00ffff", "#000000"), ("#e20074", "#ffffff"), ("#1f6f64", "#ffffff")],
)
def test_a_button_has_the_accent_itself_and_the_ink_that_goes_with_it(colour: str, ink: str) -> None:
    made = accents(colour)
    for scheme in ("light", "dark"):
        fill = made[f"accent_fill_{scheme}"]
        assert fill == colour or contrast(colour, {"light": CARD_LIGHT, "dark": CARD_DARK}[scheme]) < 1.4
        assert made[f"on_accent_{scheme}"] == ink
