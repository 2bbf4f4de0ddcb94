"""A process that keeps both embedded servers, as `invoicing up` does; tests start it, and end it in unkind ways.

Arguments: the home folder. Writes one line of JSON when both servers are ready, or when they cannot be.
"""

import json
import os
import signal
import sys
from pathlib import Path

from invoicing.kit.embedded import EmbeddedPostgres, EmbeddedRedis, EmbeddedServerError, hold


def main(path: Path) -> None:
    """Serve until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        with hold(path) as home:
            postgres, redis = EmbeddedPostgres(home, "app"), EmbeddedRedis(home)
            urls = {"postgres": postgres.start(), "redis": redis.start()}
            tell({**urls, "pids": [os.getpid(), postgres.pid, redis.pid]})
            signal.sigwait({signal.SIGTERM})  # Ctrl-C is left unanswered: what it does to the servers is to be seen
            redis.stop()
            postgres.stop()
    except EmbeddedServerError as error:
        tell({"error": str(error), "pids": [os.getpid()]})
        sys.exit(1)


def tell(line: dict[str, object]) -> None:
    """Write a line that the test waits for."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
