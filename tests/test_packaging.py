"""What an installed ssdzoo carries: built and unpacked here, without a network."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def copy_source(source):
    """A build writes into its source."""
    for name in ("ssdzoo", "presets"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    return source


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = copy_source(folder / "source")
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
    tables |= {
        *(f"ssdzoo/augmentation/{name}.toml" for name in ("ssd", "light", "none")),
        "ssdzoo/costs.toml",
        "ssdzoo/py.typed",
        "ssdzoo/serve/page.html",
        "ssdzoo/weights/published.toml",
        "ssdzoo/weights/sources.toml",
    }
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


def test_an_editable_install_works_in_the_folder_above_the_clone(tmp_path):
    source = copy_source(tmp_path / "ssdzoo")
    build = "import sys\nfrom setuptools import build_meta\nprint(build_meta.build_editable(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=source, capture_output=True, text=True, check=True)
    zipfile.ZipFile(tmp_path / done.stdout.split()[-1]).extractall(tmp_path / "site")
    code = f"""
import site, sys
before = list(sys.path)
site.addsitedir({str(tmp_path / "site")!r})
sys.path[1:] = [p for p in sys.path if p not in before] + before[1:]  # before what is installed here
import ssdzoo
print(ssdzoo.__file__, len(ssdzoo.list_models()), ssdzoo.Detections.__name__)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.split() == [str(source / "ssdzoo" / "__init__.py"), "49", "Detections"]
