"""When a webhook is tried again. Pure; times are in milliseconds since the epoch unless said otherwise."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

type DeliveryError = Literal[
    "invalid_url",  # may not be sent to; create refuses such URLs, so a setting has changed since
    "dns",  # the name has no address, or no answer came in time
    "blocked_address",  # the name leads, or also leads, to an address that is not public
    "connect",  # refused or unreachable
    "tls",  # no trusted certificate for the name, or no common protocol
    "timeout",
    "disconnected",  # closed or reset before a status line
    "protocol",  # the answer is not HTTP/1
    "too_large",  # no status line within the bytes that are read
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended: with a status or with an error, never with both or neither."""

    duration_ms: int
    status_code: int | None = None
    error: DeliveryError | None = None
    retry_after: str | None = None  # the receiver's header: its text, not to be stored or shown

    @property
    def delivered(self) -> bool:
        """Whether the receiver has taken the event."""
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more of it."""
        return self.status_code == 410


_SECOND, _MINUTE, _HOUR = 1_000, 60_000, 3_600_000
# From each attempt to the next; 75 h 35 min 5 s in all, as in Standard Webhooks' example.
_STEPS = (
    *(5 * _SECOND, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR),
    *(10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR),
)
_OVERLOADED_STEP = _MINUTE
_JITTER = 0.2


def next_attempt(attempt: int, outcome: Outcome, now: int, random: float) -> int | None:
    """The time of the attempt after the failed `attempt` (from 1), which ended at `now`; None for no more.

    `random`, in [0, 1), spreads the attempts. A Retry-After is honoured as it is between one and two steps.
    """
    if attempt > len(_STEPS) or outcome.gone:
        return None
    overloaded = outcome.error == "timeout" or outcome.status_code == 429
    least = _OVERLOADED_STEP if overloaded else 0
    step = max(_STEPS[attempt - 1], least)
    asked = _retry_after(outcome.retry_after, now)
    if asked is not None:
        return now + min(max(asked, step), 2 * step)
    return now + max(round(step * (1 - _JITTER + 2 * _JITTER * random)), least)


# RFC 9110, 5.6.7: IMF-fixdate, and the two older forms that must be understood.
_HTTP_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


def _retry_after(text: str | None, now: int) -> int | None:
    """The wait that a Retry-After asks for; None without one that can be read."""
    if text is None:
        return None
    if text.isascii() and text.isdecimal():
        return int(text[:10]) * _SECOND  # ten digits are 300 years; Python refuses to read 5,000 of them
    for form in _HTTP_DATES:
        try:
            date = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return round(date.timestamp() * 1000) - now
    return None
