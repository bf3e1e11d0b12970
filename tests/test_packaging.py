"""What an installed ssdzoo carries: built and unpacked here, without a network."""

import shutil
import subprocess
import sys
import zipfile
from itertools import permutations
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STARTUP = {"ssdzoo_imports.pth", "ssdzoo_imports.py"}


def copy_source(source):
    """What the container copies of the checkout, which has to be all that a build needs. A build writes into its source."""
    for line in (ROOT / "tools" / "serve.Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            *names, target = line.split()[1:]
            place = source / Path(target).relative_to("/src")
            for name in names:
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    place.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / name, place / name)
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
        "ssdzoo/report/page.css",
        "ssdzoo/report/page.js",
        "ssdzoo/report/theme.css",
        "ssdzoo/serve/page.html",
        "ssdzoo/weights/published.toml",
        "ssdzoo/weights/sources.toml",
    }
    metadata = {n for n in names if ".dist-info/" in n}
    assert names - metadata == modules | tables | STARTUP
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
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as wheel:
        wheel.extractall(tmp_path / "site")
    assert set(wheel.namelist()) >= STARTUP
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


OLD = {
    "mxnet/__init__.py": "import numpy\nOLD = numpy.bool, numpy.object",
    "gluoncv/__init__.py": """
import mxnet
from . import check
try:
    check._require_pytorch_version()
except ImportError:
    pass
""",
    "gluoncv/check.py": "def _require_pytorch_version(*_):\n    raise RuntimeError('Legacy torch detected')",
}


@pytest.fixture(scope="module")
def startup(wheel, tmp_path_factory):
    """Code that puts an installed ssdzoo first on the path, as when Python starts."""
    folder = tmp_path_factory.mktemp("startup") / "site"
    zipfile.ZipFile(wheel).extractall(folder)
    return f"""
import site, sys
before = list(sys.path)
site.addsitedir({str(folder)!r})
sys.path[:] = [p for p in sys.path if p not in before] + before
"""


def run(code):
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)


@pytest.fixture
def old_packages(tmp_path):
    """Code that puts packages on the path that read what numpy dropped and refuse torch, as the real ones do."""
    for name, text in OLD.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return f"sys.path.insert(0, {str(tmp_path)!r})\n"


@pytest.mark.parametrize("modules", ["gluoncv, mxnet", "mxnet, gluoncv"])
def test_old_packages_are_imported_before_ssdzoo(modules, startup, old_packages):
    result = run(f"{startup}{old_packages}import {modules}\nprint(mxnet.OLD, 'ssdzoo' in sys.modules)")
    assert (result.stdout, result.stderr) == ("(<class 'bool'>, <class 'object'>) True\n", "")


def test_at_the_start_nothing_else_is_imported_or_changed(startup, old_packages):
    code = f"""import sys, importlib.util
loaded = set(sys.modules) | {{"site", "builtins"}}
{startup}{old_packages}
assert importlib.util.find_spec("mxnet").name == "mxnet" and importlib.util.find_spec("none") is None
print({{name.split(".")[0] for name in sys.modules}} & {{"numpy", "ssdzoo", "ssdzoo_imports", "mxnet"}})
"""
    assert run(code).stdout == "{'ssdzoo_imports'}\n"


def test_without_ssdzoo_mxnet_says_what_it_lacks(startup, old_packages):
    code = f"{startup}{old_packages}sys.modules['ssdzoo'] = None\nimport mxnet"
    assert "module 'numpy' has no attribute 'bool'" in run(code).stderr


@pytest.mark.long
@pytest.mark.parametrize("modules", permutations(["gluoncv", "mxnet", "torch"]))
def test_every_order_of_imports(modules, startup):
    pytest.importorskip("torch")
    code = f"""{startup}
import {", ".join(modules)}, ssdzoo
sums = torch.nn.Linear(2, 1)(torch.zeros(3, 2)).shape[0], int(mxnet.nd.ones(3).sum().asscalar())
print(*sums, len(gluoncv.model_zoo.get_model_list()) > 100, ssdzoo.get_model("ssd_300_mobilenet0.25_voc").classes[0])
"""
    assert run(code).stdout == "3 3 True aeroplane\n"
