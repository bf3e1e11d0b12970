"""What an installed ssdzoo carries: built and unpacked here, without a network."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy, because a build writes into its source
    for name in ("ssdzoo", "presets"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(source),
    ]
    subprocess.run(command, check=True, timeout=300)
    return next(folder.glob("ssdzoo-*.whl"))


def test_the_wheel_holds_code_and_tables(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "ssdzoo").rglob("*.py")}
    tables = {f"ssdzoo/presets/{p.name}" for p in (ROOT / "presets").iterdir() if p.suffix in (".toml", ".md", ".py")}
    tables |= {"ssdzoo/costs.toml", "ssdzoo/py.typed", "ssdzoo/weights/published.toml", "ssdzoo/weights/sources.toml"}
    metadata = {n for n in names if ".dist-info/" in n}
    assert names - metadata == modules | tables
    entry = next(n for n in metadata if n.endswith("entry_points.txt"))
    assert "ssdzoo = ssdzoo.cli:main" in zipfile.ZipFile(wheel).read(entry).decode()


def test_an_unpacked_wheel_works_elsewhere(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / "site")!r})
import ssdzoo, ssdzoo.presets
from pathlib import Path
places = [Path(m.__file__).parent.relative_to({str(tmp_path)!r}) for m in (ssdzoo, ssdzoo.presets)]
print(len(ssdzoo.list_models()), *places)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "49 site/ssdzoo site/ssdzoo/presets"
