"""Two minutes of faults from a fixed seed: nothing is lost, nothing happens twice, everything ends."""

from itertools import pairwise
from pathlib import Path

import pytest

from .campaign import Terms, run
from .checker import violations
from .faults import KINDS, plan
from .figures import table

SEED, SECONDS, APART = 4, 110.0, 4.0


def test_a_plan_is_made_by_its_seed_alone_and_has_every_kind_before_any_comes_again() -> None:
    faults = plan(SEED, 3_000, APART)
    assert faults == plan(SEED, 3_000, APART)
    assert faults != plan(SEED + 1, 3_000, APART)
    assert {fault.kind for fault in faults[: len(KINDS)]} == set(KINDS)
    assert all(before.at < after.at < 3_000 for before, after in pairwise(faults))


@pytest.mark.timeout(1500)
async def test_whatever_breaks_every_accepted_job_ends_exactly_once(roomy_path: Path) -> None:
    result = await run(Terms(SEED, SECONDS, APART), roomy_path / "home")
    found = violations(result.seen)
    figures = table(result, found)
    assert found == [], figures
    assert sum(bool(one.to) for one in result.happened) >= 15, figures
    assert len(result.seen.jobs) > 150, figures
    assert len({file.number for job in result.seen.jobs for file in job.files if file.number}) > 20, figures
