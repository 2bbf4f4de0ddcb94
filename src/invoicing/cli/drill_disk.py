"""A slow disk for real: writers that sync beside the data until the disk is busy; no rights needed, nothing stays."""

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_WRITERS = 4
_PIECE = bytes(8 * 1024 * 1024)
_PIECES = 8
_SAMPLES = 7


@contextmanager
def busy(folder: Path) -> Iterator[Callable[[], float]]:
    """Keep the folder's disk busy while the block runs; gives a measure of how many times slower a sync has become.

    The writers' files have no name, so whatever becomes of us, they take no room afterwards.
    """
    before = sync_s(folder)
    ended = threading.Event()
    writers = [
        threading.Thread(target=_write, args=(folder, ended), name="writer", daemon=True) for _ in range(_WRITERS)
    ]
    for writer in writers:
        writer.start()
    try:
        yield lambda: sync_s(folder) / before
    finally:
        ended.set()
        for writer in writers:
            writer.join()


def sync_s(folder: Path) -> float:
    """Measure how long a page takes to reach the disk (seconds, median of a few)."""
    took = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(_SAMPLES):
            file.write(_PIECE[:8192])
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return max(statistics.median(took), 1e-6)


def _write(folder: Path, ended: threading.Event) -> None:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        while not ended.is_set():
            file.seek(0)
            for _ in range(_PIECES):
                if ended.is_set():
                    return
                file.write(_PIECE)
                os.fsync(file.fileno())
