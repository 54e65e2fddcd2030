"""The schedule of attempts, in virtual time."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchkey.domain.retry_schedule import Outcome, next_attempt

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
STEPS = [
    *(5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR),
    *(14 * HOUR, 20 * HOUR, 24 * HOUR),
]
NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z
ALMOST_ONE = 1 - 2**-53

failures = st.builds(
    Outcome,
    duration_ms=st.just(1),
    status_code=st.sampled_from([302, 400, 404, 500, 503]),
    retry_after=st.none() | st.text() | st.sampled_from(["Thu, 31 Feb 2026 00:00:00 GMT", "-1", "1.5"]),
) | st.builds(Outcome, duration_ms=st.just(1), error=st.sampled_from(["dns", "connect", "tls", "protocol"]))
randoms = st.floats(0, 1, exclude_max=True)


def failed(status: int = 503, retry_after: str | None = None) -> Outcome:
    return Outcome(duration_ms=1, status_code=status, retry_after=retry_after)


def wait(attempt: int, outcome: Outcome, random: float = 0.5) -> int:
    following = next_attempt(attempt, outcome, NOW, random)
    assert following is not None
    return following - NOW


def test_there_are_ten_attempts_over_75_hours_35_minutes_and_5_seconds() -> None:
    attempts = [NOW]
    while following := next_attempt(len(attempts), failed(), attempts[-1], 0.5):
        attempts.append(following)
    assert [after - before for before, after in pairwise(attempts)] == STEPS
    assert len(attempts) == 10
    assert attempts[-1] - attempts[0] == 75 * HOUR + 35 * MINUTE + 5 * SECOND


@given(failures, st.lists(randoms, min_size=9, max_size=9))
def test_each_wait_is_within_its_bounds(outcome: Outcome, drawn: list[float]) -> None:
    waits = [wait(attempt, outcome, random) for attempt, random in enumerate(drawn, 1)]
    for step, waited in zip(STEPS, waits, strict=True):
        assert 0.8 * step <= waited <= (1.2 * step if outcome.retry_after is None else 2 * step)
    assert next_attempt(10, outcome, NOW, drawn[0]) is None


def test_jitter_reaches_a_fifth_to_either_side() -> None:
    assert [wait(2, failed(), random) for random in (0.0, 0.5, ALMOST_ONE)] == [240_000, 300_000, 360_000]


@pytest.mark.parametrize("overloaded", [failed(429), Outcome(duration_ms=15_000, error="timeout")])
def test_an_overloaded_receiver_gets_at_least_a_minute(overloaded: Outcome) -> None:
    assert [wait(1, overloaded, random) for random in (0.0, 0.5, ALMOST_ONE)] == [60_000, 60_000, 72_000]
    assert wait(2, overloaded, 0.0) == 240_000


@pytest.mark.parametrize("attempt", [1, 5, 9])
def test_a_receiver_that_is_gone_gets_no_more(attempt: int) -> None:
    assert next_attempt(attempt, failed(410, "60"), NOW, 0.5) is None


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("300", 300),
        ("301", 301),
        ("599", 599),
        ("0", 300),
        ("299", 300),
        ("601", 600),
        ("99999999999", 600),
        ("9" * 5000, 600),
        ("Thu, 01 Jan 2026 00:07:00 GMT", 420),
        ("Thursday, 01-Jan-26 00:07:00 GMT", 420),
        ("Thu Jan  1 00:07:00 2026", 420),
        ("Wed, 31 Dec 2025 23:59:59 GMT", 300),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 300),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 600),
    ],
)
@pytest.mark.parametrize("random", [0.0, ALMOST_ONE])
def test_retry_after_is_honoured_between_one_and_two_steps(
    retry_after: str, seconds: int, random: float
) -> None:
    assert wait(2, failed(503, retry_after), random) == seconds * SECOND


@pytest.mark.parametrize(("retry_after", "seconds"), [("1", 60), ("90", 90), ("3600", 120)])
def test_retry_after_of_an_overloaded_receiver_counts_from_a_minute(retry_after: str, seconds: int) -> None:
    assert wait(1, failed(429, retry_after)) == seconds * SECOND


@pytest.mark.parametrize(
    "retry_after",
    ["", " ", "soon", "-1", "+1", "1.5", "1e3", "٣٠٠", "²", "0x10", "Thu, 01 Jan 2026 00:07:00 +0100"],
)
def test_a_retry_after_that_cannot_be_read_is_none(retry_after: str) -> None:
    assert wait(2, failed(503, retry_after), 0.0) == 240_000


@given(st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)).map(lambda date: date.replace(tzinfo=UTC)))  # noqa: DTZ001 # made aware at once
def test_every_form_of_a_date_means_the_same(date: datetime) -> None:
    forms = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y")
    expected = min(max(int(date.timestamp()) * 1000 - NOW, 24 * HOUR), 48 * HOUR)
    assert {wait(9, failed(503, date.strftime(form))) for form in forms} == {expected}


@pytest.mark.parametrize(
    ("status", "delivered"),
    [(199, False), (200, True), (204, True), (299, True), (300, False), (None, False)],
)
def test_a_status_of_two_hundred_and_something_is_delivery(status: int | None, delivered: bool) -> None:
    error: Literal["timeout"] | None = "timeout" if status is None else None
    assert Outcome(duration_ms=1, status_code=status, error=error).delivered is delivered


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 502, 503])
def test_a_wait_that_is_asked_for_counts_whatever_it_comes_with(status: int) -> None:
    # Between one and two steps of five minutes.
    assert wait(2, failed(status, "400"), 0.0) == 400 * SECOND
