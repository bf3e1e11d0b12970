"""The documentation's site, and the address that several files name."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ssdzoo.version import __version__

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed: pip install -e '.[docs]'")
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "VOCMeanAP" in (tmp_path / "api" / "evaluate" / "index.html").read_text("utf-8")


def test_every_page_is_in_the_navigation():
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    listed = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE))
    assert listed == pages | {"presets.md"}  # made of presets/README.md


def test_links_between_files_lead_somewhere():
    missing = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("tools/recipes/*.md"), *ROOT.glob("docs/api/*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
            if "://" not in link and link != "presets.md" and not (page.parent / link).exists():
                missing.append(f"{page.relative_to(ROOT)}: {link}")
    assert not missing


def test_the_citation_has_the_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_all_files_name_the_same_address():
    address = "https://github.com/ssdzoo/ssdzoo"
    for name in ("README.md", "CITATION.cff", "setup.cfg", "mkdocs.yml"):
        assert address in (ROOT / name).read_text("utf-8"), name
