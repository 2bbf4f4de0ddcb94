"""Work that burns a given amount of CPU, and leaves in a file how much it has had, however it ends."""

import os
import struct
import time
from pathlib import Path

_SLICE_S = 0.02


class Burner:
    """Burns CPU in pure Python on behalf of one job, over all its attempts."""

    def __init__(self, folder: Path, name: str) -> None:
        """Go on from what earlier attempts had."""
        self._file = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o644)
        before = os.pread(self._file, 8, 0)
        self.had_s = _read(before) if before else 0.0

    def burn(self, seconds: float) -> None:
        """Use so much CPU; time in which others have the processor does not count."""
        until = self.had_s + seconds
        while self.had_s < until:
            began = time.thread_time()
            while time.thread_time() - began < _SLICE_S:
                pass
            self.had_s += time.thread_time() - began
            os.pwrite(self._file, struct.pack("d", self.had_s), 0)


def burn(folder: str, name: str, seconds: float) -> None:
    """Burn for a job in a pool of processes."""
    Burner(Path(folder), name).burn(seconds)


def burned_s(folder: Path) -> float:
    """Add up what all jobs had so far."""
    return sum(_read(path.read_bytes()) for path in folder.iterdir() if path.stat().st_size)


def _read(written: bytes) -> float:
    had: float = struct.unpack("d", written)[0]
    return had
