"""What a peer that drained a backlog tells of it."""

import json
import resource
import sys


def say(jobs: int, left: int, seconds: float) -> None:
    """Print it; a peer that left jobs undone has measured nothing."""
    if left:
        sys.exit(f"{left} of {jobs} jobs are left")
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    sys.stdout.write(json.dumps({"per_second": jobs / seconds, "memory_mb": memory_mb}))
