"""Data goes to stdout, words to stderr; with --json data is one JSON object a line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

# What a terminal would obey.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COLOURS = {
    "complete": "green", "delivered": "green", "succeeded": "green", "ok": "green",
    "failed": "red", "exhausted": "red", "unknown": "red",
    "active": "cyan", "running": "cyan", "pending": "yellow",
}  # fmt: skip


class Output:
    """What a command prints; `as_json` for machines, or the members at these dotted paths alone."""

    def __init__(self, as_json: bool, fields: Sequence[str] = ()) -> None:
        self.as_json = as_json or bool(fields)
        self.fields = fields
        # Soft: a line that is longer than the terminal is whole when it is copied, or piped.
        self._out = Console(highlight=False, soft_wrap=True)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def terminal(self) -> bool:
        """Whether somebody reads along and can answer."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def json(self, data: Any) -> None:
        """One line of data."""
        if self.fields:
            return self.line(_CONTROLS.sub("�", " ".join(_plain(_at(data, path)) for path in self.fields)))
        # Not by rich, which would colour it and break it into lines.
        sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return None

    def document(self, data: Any) -> None:
        """An object as JSON for a human."""
        self.line(_CONTROLS.sub("�", json.dumps(data, indent=2, ensure_ascii=False)))

    def members(self, data: Mapping[str, Any]) -> None:
        """An object, a member a line; what has no value is left out."""
        if self.as_json:
            return self.json(data)
        self._aligned(
            [[Text(name, "dim"), cell(name, value)] for name, value in data.items() if value is not None]
        )
        return None

    def rows(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Objects, one a line, with these of their members in columns."""
        if self.as_json:
            for row in rows:
                self.json(row)
        elif rows:
            head = [Text(column, "dim") for column in columns]
            self._aligned([head, *([cell(column, _at(row, column)) for column in columns] for row in rows)])
        else:
            self.say("There is none.")

    def _aligned(self, lines: list[list[Text]]) -> None:
        widths = [max(cell_len(text.plain) for text in column) for column in zip(*lines, strict=True)]
        for line in lines:
            padded = [
                text + " " * (width + 2 - cell_len(text.plain))
                for text, width in zip(line, widths, strict=True)
            ]
            padded[-1].rstrip()
            self._out.print(Text().join(padded))

    def line(self, text: str) -> None:
        """A line of data that is text."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Words for who reads along."""
        self._err.print(Text(_CONTROLS.sub("�", text)))

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show that something goes on, in a terminal."""
        if not self._err.is_terminal:
            yield
            return
        with self._err.status(Text(text)):
            yield


def cell(name: str, value: Any) -> Text:
    """A value as a human reads it: times by the clock, objects as JSON."""
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, int) and not isinstance(value, bool) and (name == "at" or name.endswith("At")):
        return Text(datetime.fromtimestamp(value / 1000, timezone.utc).astimezone().isoformat(" ", "seconds"))
    text = _plain(value)
    return Text(_CONTROLS.sub("�", text), style=_COLOURS.get(text, ""))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _at(row: Mapping[str, Any], path: str) -> Any:
    """The member at a dotted path."""
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def duration(text: str) -> int:
    """Seconds of "90s", "4h", "1d12h" or "45"; raises ValueError."""
    if text.isascii() and text.isdigit():
        return int(text)
    if not re.fullmatch(r"(\d+[dhms])+", text, re.ASCII):
        raise ValueError(f"{text!r} is no time: write it like 90s, 15m, 4h, 1d12h")
    seconds = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
    return sum(int(number) * seconds[unit] for number, unit in re.findall(r"(\d+)([dhms])", text, re.ASCII))
