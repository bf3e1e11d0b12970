"""Real photos: a few that the repository holds, and more of them, weights and published answers that lie beside the checkout."""

from pathlib import Path

import pytest

BCCD = (
    Path(__file__).parent / "fixtures" / "bccd"
)  # 9 photos of blood cells in the Pascal VOC layout: splits train 4, val 2, test 3
SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_path(relative: str) -> Path:
    """The path of `../shared/<relative>`; the calling test is skipped, with a reason, where it is missing."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"needs ../shared/{relative}, which is not on this machine")
    return path
