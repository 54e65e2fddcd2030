"""The page's colours: any accent, so that it can be read on the page and under a button's text. Pure."""

# What the page's text and buttons stand on, in a light and in a dark scheme.
CARD_LIGHT, CARD_DARK = "#fffefc", "#1c1f24"
_BLACK, _WHITE = "#000000", "#ffffff"
_TEXT, _FILL = 4.5, 1.4  # contrasts, to 1: WCAG's for text; a button's, which a yellow one has on white


def accents(colour: str) -> dict[str, str]:
    """For each scheme: the colour as it is seen on the card, as a button, and the ink on that button."""
    found = {}
    for scheme, card in (("light", CARD_LIGHT), ("dark", CARD_DARK)):
        fill = _apart(colour, card, _FILL)
        found[f"accent_{scheme}"] = _apart(colour, card, _TEXT)
        found[f"accent_fill_{scheme}"] = fill
        found[f"on_accent_{scheme}"] = _ink(fill)
    return found


def _apart(colour: str, ground: str, least: float) -> str:
    """The colour, mixed with the ground's ink until it has so much contrast to the ground."""
    mixed = colour
    for step in range(21):
        pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(_ink(ground)[1:]), strict=True)
        mixed = f"#{bytes(channel + (ink - channel) * step // 20 for channel, ink in pairs).hex()}"
        if contrast(mixed, ground) >= least:
            break
    return mixed


def _ink(ground: str) -> str:
    """Black or white, whichever is read better: on every colour one of them has 4.5 to 1."""
    return max(_BLACK, _WHITE, key=lambda ink: contrast(ink, ground))


def contrast(one: str, other: str) -> float:
    """From 1 to 21, as WCAG 2.2 defines it."""
    low, high = sorted((_luminance(bytes.fromhex(one[1:])), _luminance(bytes.fromhex(other[1:]))))
    return (high + 0.05) / (low + 0.05)


def _luminance(rgb: bytes) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
