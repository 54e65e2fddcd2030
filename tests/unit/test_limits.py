"""A key's bucket, and what several environments that share it let through."""

from hypothesis import given
from hypothesis import strategies as st

from latchkey.domain.limits import SECOND, TOLD_EACH, Bucket, Limit

LIMITS = st.builds(Limit, st.integers(1, 1000), st.integers(1, 500))
START = 1_704_067_200 * SECOND
GAPS = st.integers(0, SECOND)


def heard() -> Bucket:
    bucket = Bucket()
    bucket.hear(None, 0, 0)
    return bucket


@given(LIMITS, st.lists(GAPS, max_size=300))
def test_no_more_than_burst_and_rate_pass_in_any_span(limit: Limit, gaps: list[int]) -> None:
    bucket, now, passed = heard(), START, list[int]()
    for gap in gaps:
        now += gap
        if not bucket.take(limit, now):
            passed.append(now)
    for i, first in enumerate(passed):
        for n, last in enumerate(passed[i:], 1):
            assert (n - limit.burst) * limit.token <= last - first


@given(LIMITS, st.lists(GAPS, max_size=100))
def test_who_waits_as_long_as_told_passes_and_nobody_waits_for_longer_than_a_token(
    limit: Limit, gaps: list[int]
) -> None:
    bucket, now = heard(), START
    for gap in gaps:
        now += gap
        if wait := bucket.take(limit, now):
            assert 0 < wait <= limit.token
            assert bucket.take(limit, now + wait - 1)
            now += wait
            assert not bucket.take(limit, now)


@given(LIMITS, st.integers(1, 300))
def test_who_keeps_to_the_rate_is_never_refused(limit: Limit, requests: int) -> None:
    bucket = heard()
    assert not any(bucket.take(limit, START + n * limit.token) for n in range(requests))
    assert bucket.out(limit, START + requests * limit.token) == 0


@given(LIMITS, st.lists(GAPS, max_size=300))
def test_nobody_is_refused_without_word_from_the_row_nor_pays_for_it_later(
    limit: Limit, gaps: list[int]
) -> None:
    bucket, now = Bucket(), START
    for gap in gaps:
        now += gap
        assert not bucket.take(limit, now)
        assert bucket.full_at <= now + limit.window


@given(
    st.integers(10, 100),
    st.integers(10, 100),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, SECOND // 50)), min_size=1, max_size=400),
)
def test_environments_together_pass_burst_and_rate_and_what_they_had_not_told(
    rate: int, burst: int, requests: list[tuple[int, int]]
) -> None:
    """Each tells the row in the same moment, as often as it may; the row adds up what it is told."""
    limit, row, now, passed, most_untold = Limit(rate, burst), 0, START, 0, 0
    environments = [heard() for _ in range(5)]
    for which, gap in requests:
        now += gap
        bucket = environments[which]
        if bucket.take(limit, now):
            continue
        passed += 1
        most_untold = max(most_untold, sum(each.untold for each in environments))
        if bucket.is_due(limit, now) and now >= bucket.tell_from:
            bucket.tell_from, told = now + TOLD_EACH, bucket.untold
            if (bucket.row > now) != (row > now):
                told = 0
            else:
                row = row + told * limit.token if row > now else bucket.full_at
            bucket.hear(limit, row, told)
    assert (passed - burst - most_untold - 1) * limit.token <= now - START


def test_what_others_took_is_heard_with_the_next_word_and_may_be_more_than_there_was() -> None:
    limit, bucket = Limit(50, 100), heard()
    for _ in range(10):
        bucket.take(limit, START)
    assert bucket.is_due(limit, START)
    bucket.hear(limit, START + 150 * limit.token, told=10)  # others took 140
    assert bucket.out(limit, START) == 150
    assert bucket.take(limit, START) == 51 * limit.token
    assert not bucket.take(limit, START + 51 * limit.token)


def test_what_was_not_told_is_not_told_again() -> None:
    limit, bucket = Limit(50, 100), heard()
    for _ in range(10):
        bucket.take(limit, START)
    bucket.miss(10, START)
    assert not bucket.is_due(limit, START)
    assert not any(bucket.take(limit, START) for _ in range(200))


def test_each_tenth_of_a_burst_is_told_and_anything_when_half_of_it_is_out() -> None:
    limit, bucket, told = Limit(50, 100), heard(), []
    for n in range(1, 101):
        bucket.take(limit, START)
        if bucket.is_due(limit, START):
            told.append(n)
            bucket.hear(limit, bucket.full_at, bucket.untold)
    assert told == [10, 20, 30, 40, *range(50, 101)]


def test_what_an_idle_key_took_is_told_to_nobody() -> None:
    limit, bucket = Limit(50, 100), heard()
    for n in range(100):
        bucket.take(limit, START + n * 61 * SECOND)
        assert bucket.untold == 1


def test_a_word_that_comes_after_a_long_pause_is_not_counted_twice() -> None:
    limit, bucket = Limit(50, 100), heard()
    for _ in range(10):
        bucket.take(limit, START)
    bucket.take(limit, START + 100 * SECOND)  # the environment was frozen while it told of ten
    bucket.hear(limit, START + 10 * limit.token, told=10)
    assert bucket.untold == 0
    bucket.take(limit, START + 100 * SECOND)
    assert bucket.untold == 1
