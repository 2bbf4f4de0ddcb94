"""Parts of statements that leave out what somebody decided: a customer or a job that is paused waits by no fault."""

MOST_LOOKED_AT = 10_000
"""Of a lane, broken promises that are looked at to find those of customers that are not paused."""

BROKEN = """
    SELECT * FROM jobs WHERE finished_at IS NULL AND promise_status <> 'on_track' AND priority = lane.priority
      AND size = lane.size LIMIT :looked_at
"""
"""Jobs of a row of `lane` whose promise is missed or at risk."""


def of_paused(row: str) -> str:
    """Tell whether the customer of a row is paused."""
    held = "ended_at IS NULL AND until > now()"
    return f"EXISTS (SELECT FROM customer_pauses p WHERE p.customer_id = {row}.customer_id AND {held})"


_OF_A_PAUSED_JOB = "held AND EXISTS (SELECT FROM holds WHERE job_id = jobs.id AND reason IS NOT NULL)"

NOT_DECIDED = f"(state = 'running' OR NOT ({of_paused('jobs')} OR {_OF_A_PAUSED_JOB}))"
"""Of a row of `jobs`: it runs, or waits and nobody wants it to."""
