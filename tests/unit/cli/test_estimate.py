"""An estimate in sentences: what it would be, and, where it would not be taken in, when to come again."""

from invoicing.cli.estimate import estimate_told

FOUND = {
    "lane": {"priority": "bulk", "size": "small"},
    "predicted_s": 0.6,
    "admission": {"accepted": True, "code": None, "message": None, "retry_after_s": None},
    "position": {"ahead": 4, "at_least": 3, "at_most": 9},
    "eta": None,
    "promise": {"due": "2026-11-22T12:00:00Z", "status": "on_track"},
    "cause": {"code": "lane_saturated", "message": "4 jobs are ahead of yours."},
}


def test_an_estimate_tells_size_place_and_promise() -> None:
    told = list(estimate_told(FOUND))
    assert told[0] == "It would be a small bulk job of about 0.6 s of work."
    assert told[1] == "4 jobs are ahead of it (3 to 9 with what may come) in the lane bulk-small."
    assert told[-1] == "At first: 4 jobs are ahead of yours. [lane_saturated]"


def test_a_refusal_is_told_with_the_time_to_come_again() -> None:
    door = {"accepted": False, "code": "overloaded", "message": "It would wait too long.", "retry_after_s": 90}
    _, refused, again, *_ = estimate_told({**FOUND, "admission": door})
    assert refused == "It would not be taken in now: It would wait too long. [overloaded]"
    assert again == "Send it in 90 s. Were it taken in now:"
