"""Real photos, weights and published answers that lie beside the checkout and are never committed."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_path(relative: str) -> Path:
    """The path of `../shared/<relative>`; the calling test is skipped, with a reason, where it is missing."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"needs ../shared/{relative}, which is not on this machine")
    return path
