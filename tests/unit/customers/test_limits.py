"""A customer gets its rate and its burst, and never more."""

from hypothesis import given
from hypothesis import strategies as st

from invoicing.customers.limits import Bucket, Limiter, take

rates = st.floats(0.1, 1000)
bursts = st.integers(1, 1000)
waits = st.floats(0, 60)


@given(rates, bursts, st.lists(st.tuples(waits, st.sampled_from((1.0, 2.0, 5.0))), max_size=60))
def test_no_more_is_granted_than_the_burst_and_the_rate_over_the_time(
    rate: float, burst: int, asks: list[tuple[float, float]]
) -> None:
    bucket: Bucket | None = None
    now = granted = 0.0
    for wait, cost in asks:
        now += wait
        bucket, allowance = take(bucket, now, rate, burst, cost)
        granted += cost if allowance.allowed else 0.0
        assert granted <= burst + rate * now + 1e-6
        assert 0 <= allowance.remaining <= burst


@given(rates, bursts, st.floats(0, 1e6))
def test_a_refused_customer_that_waits_as_told_is_granted_and_was_charged_nothing(
    rate: float, burst: int, now: float
) -> None:
    empty = Bucket(0.0, now)
    bucket, refused = take(empty, now, rate, burst)
    assert (refused.allowed, refused.remaining, bucket.tokens) == (False, 0, 0.0)
    assert refused.retry_after_s > 0
    _, granted = take(bucket, now + refused.retry_after_s + 1e-3, rate, burst)  # answers round up to a second
    assert granted.allowed


def test_a_full_bucket_grants_its_burst_at_once_and_then_its_rate() -> None:
    limiter = Limiter()
    granted = [limiter.take("acme", 100.0, 2.0, 3).allowed for _ in range(5)]
    assert granted == [True, True, True, False, False]
    assert [limiter.take("acme", 101.0, 2.0, 3).allowed for _ in range(3)] == [True, True, False]


def test_one_customer_does_not_use_up_what_another_has() -> None:
    limiter = Limiter()
    assert limiter.take("acme", 0.0, 1.0, 1).allowed
    assert not limiter.take("acme", 0.0, 1.0, 1).allowed
    assert limiter.take("other", 0.0, 1.0, 1).allowed


def test_what_shall_cost_nothing_is_given_back_but_never_beyond_the_burst() -> None:
    limiter = Limiter()
    limiter.take("acme", 0.0, 1.0, 1)
    limiter.give_back("acme")
    assert limiter.take("acme", 0.0, 1.0, 1).allowed
    for _ in range(10):
        limiter.give_back("acme")
    assert [limiter.take("acme", 0.0, 1.0, 1).allowed for _ in range(2)] == [True, False]
    limiter.give_back("nobody")
