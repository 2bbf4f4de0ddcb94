"""What an answer means for a message and for its endpoint, and how a message is signed."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from invoicing.outbox.model import (
    WINDOW,
    Answered,
    Errand,
    MessageState,
    Outcome,
    Unanswered,
    headers_of,
    judge,
    new_secret,
    pause_after,
    retry_after_of,
    signature,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ID = UUID("0199a3c2-0000-7000-8000-000000000000")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_2xx_delivers(status: int) -> None:
    assert judge(Answered(status), 1, DAY, 0.5).state is MessageState.DELIVERED


@pytest.mark.parametrize(
    "outcome", [Answered(199), Answered(300), Answered(404), Answered(500), Unanswered("timeout", "No.")]
)
def test_anything_else_comes_again_until_the_window_ends(outcome: Outcome) -> None:
    assert judge(outcome, 1, timedelta(seconds=1), 0.5).state is MessageState.WAITING
    assert judge(outcome, 1, timedelta(0), 0.5).state is MessageState.DEAD


@given(st.floats(0, 1), st.floats(0, 1))
def test_delays_grow_to_twelve_hours_and_spread_by_a_fifth(chance: float, other: float) -> None:
    delays = [judge(Answered(500), tries, DAY, chance).again_in for tries in range(1, 20)]
    others = [judge(Answered(500), tries, DAY, other).again_in for tries in range(1, 20)]
    assert delays == sorted(delays)
    assert all(one <= two * 1.5001 for one, two in zip(delays, others, strict=True))
    assert timedelta(seconds=4) <= delays[0] <= timedelta(seconds=6)
    assert timedelta(hours=9.6) <= delays[-1] <= timedelta(hours=14.4)


def test_a_message_is_tried_about_fifteen_times_in_three_days() -> None:
    at, tries = timedelta(0), 1
    while at < WINDOW:
        at += judge(Answered(500), tries, WINDOW - at, 0.5).again_in
        tries += 1
    assert 13 <= tries <= 17


@pytest.mark.parametrize(("status", "respected"), [(429, True), (503, True), (500, False), (404, False)])
def test_whoever_asks_for_time_is_given_it_where_asking_is_meant_so(status: int, *, respected: bool) -> None:
    verdict = judge(Answered(status, timedelta(hours=2)), 1, DAY, 0.5)
    assert (verdict.again_in == timedelta(hours=2)) is respected
    assert (verdict.held_for == timedelta(hours=2)) is respected


def test_nobody_can_ask_for_more_than_a_day() -> None:
    assert judge(Answered(429, timedelta(days=900)), 1, DAY, 0.5).again_in == DAY


def test_gone_disables_and_nothing_else_does() -> None:
    assert judge(Answered(410), 1, DAY, 0.5).gone
    assert not judge(Answered(404), 1, DAY, 0.5).gone


@given(st.integers(5, 10_000), st.floats(0, 1))
def test_an_endpoint_that_keeps_failing_is_probed_less_often_but_never_less_than_every_18_minutes(
    failures: int, chance: float
) -> None:
    pause = pause_after(failures, None, chance)
    assert pause is not None
    assert timedelta(seconds=24) <= pause <= timedelta(minutes=18)


def test_a_few_failures_do_not_open_the_breaker() -> None:
    assert [pause_after(failures, None, 0.5) for failures in range(1, 5)] == [None] * 4
    assert pause_after(1, DAY, 0.5) == DAY
    assert pause_after(9, DAY, 0.5) == DAY


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120), ("0", 0), (" 7 ", 7), ("Sun, 22 Nov 2026 09:01:00 GMT", 60), ("Sun, 22 Nov 2026 08:00:00 GMT", 0),
        (None, None), ("", None), ("soon", None), ("-5", None), ("1.5", None), ("٣", None),
        ("Sun, 99 Nov 2026 09:01:00 GMT", None), ("9" * 500, 10**9),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_and_nonsense_is_nothing(header: str | None, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after_of(header, NOW) == expected


@given(st.text(max_size=100))
def test_no_retry_after_breaks_anything(header: str) -> None:
    found = retry_after_of(header, NOW)
    assert found is None or found >= timedelta(0)


def test_the_signature_is_the_one_of_the_standards_own_example() -> None:
    """Standard Webhooks, `spec/standard-webhooks.md`; the same vector is in its reference libraries' tests."""
    secret, message = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    signed = Webhook(secret).sign(message, datetime.fromtimestamp(1614265330, UTC), '{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    ours = signature([secret], ID, 1614265330, b'{"test": 2432232314}')
    assert ours == Webhook(secret).sign(str(ID), datetime.fromtimestamp(1614265330, UTC), '{"test": 2432232314}')


@given(st.text(max_size=200))
def test_what_we_sign_others_verify(text: str) -> None:
    secrets = [new_secret(), new_secret()]
    body = '{"a":"' + base64.b64encode(text.encode()).decode() + '"}'
    errand = Errand(ID, 1, 1, ID, "job.dead", "https://example.com", body, secrets, DAY, probing=False)
    headers = dict(headers_of(errand, datetime.now(UTC)))
    for secret in secrets:
        Webhook(secret).verify(body, headers)
    assert "whsec" not in repr(errand)


def test_secrets_are_of_256_bits_and_never_the_same() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) for secret in made} == {32}
