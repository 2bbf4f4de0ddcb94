"""How often healthy work is called slower than normal: log-normal, heavier-tailed and mixed durations, by sample size.

Every round learns a kind anew from so many jobs, beside two others as the service would have them, and draws some more.
"""

from benchmarks.healthy import LAWS, share_called_slow
from benchmarks.report import Table

SAMPLES = (3, 5, 10, 30, 99, 200)
DRAWN = 20_000


def run() -> Table:
    """Draw, and count."""
    table = Table("False flags of healthy work", ["durations", *(f"{count} similar" for count in SAMPLES)])
    for name, law in LAWS.items():
        shares = [share_called_slow(law, count, DRAWN) for count in SAMPLES]
        table.add(name, *(f"{share:.2%}" for share in shares))
        table.bar(f"% of healthy work called slow, the worst, {name}", max(shares) * 100, at_most=1.5)
    return table
