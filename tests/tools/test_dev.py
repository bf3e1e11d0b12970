"""The set-up script, without installing anything."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.scripts import TOOLS, load_script

PATH = TOOLS / "dev.py"


@pytest.fixture
def dev(tmp_path, monkeypatch):
    """The script as a module, whose checkout is an empty folder."""
    module = load_script("dev")
    for name in ("setup.cfg", "setup.py", "pyproject.toml"):
        (tmp_path / name).write_text(name)
    for name, value in (("ROOT", tmp_path), ("VENV", tmp_path / ".venv"), ("STAMP", tmp_path / ".venv" / "installed")):
        monkeypatch.setattr(module, name, str(value))
    monkeypatch.setattr(module, "PYTHON", sys.executable)
    return module


def test_a_wrong_call_is_one_line():
    result = subprocess.run([sys.executable, str(PATH), "tset"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (
        2,
        "dev.py: usage: python3 tools/dev.py {quickstart|test} [options]; --help explains them\n",
    )


def test_help():
    result = subprocess.run([sys.executable, str(PATH), "--help"], capture_output=True, text=True)
    assert result.returncode == 0 and "python3 tools/dev.py test [--with-torch]" in result.stdout


def test_torch_is_downloaded_only_if_asked_for(dev, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(dev, "importable", lambda module: "ModuleNotFoundError")
    monkeypatch.setattr(dev, "run_installer", lambda arguments: calls.append(arguments) or "no such version")
    dev.install_torch(download=False)
    assert calls == [[dev.TORCH]] and dev.TORCH.endswith("+cpu") and "--with-torch" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        dev.install_torch(download=True)
    assert calls[2:] == [[dev.TORCH, "--extra-index-url", dev.TORCH_INDEX]]
    monkeypatch.setattr(dev, "importable", lambda module: None)
    dev.install_torch(download=True)
    assert len(calls) == 3


@pytest.mark.parametrize("on_path, program", [("/bin/uv", "uv"), (None, sys.executable)])
def test_uv_installs_where_there_is_one(on_path, program, dev, monkeypatch):
    commands = []
    done = subprocess.CompletedProcess([], 1, b"first\nlast words\n")
    monkeypatch.setattr(dev.shutil, "which", lambda name: on_path)
    monkeypatch.setattr(dev.subprocess, "run", lambda command, **_: commands.append(command) or done)
    assert dev.run_installer(["x"]) == "first\nlast words"
    assert commands[0][0] == program and commands[0][-1] == "x" and ("--python" in commands[0]) == (on_path is not None)


def test_an_installed_copy_is_no_installation_of_this_checkout(dev, tmp_path):
    (tmp_path / ".venv").mkdir()
    assert not dev.is_editable()
    package = importlib.util.find_spec("ssdzoo").origin
    dev.ROOT = str(Path(package).parents[1])
    assert dev.is_editable()


def test_only_suitable_interpreters_are_found(dev, tmp_path):
    assert dev.is_version(sys.executable)
    (tmp_path / "python3.11").write_text("#!/bin/sh\necho 3.9 8 cpython\n")
    (tmp_path / "python3.11").chmod(0o755)
    assert not dev.is_version(str(tmp_path / "python3.11"))
    assert not dev.is_version(str(tmp_path / "python3.12"))
    assert dev.interpreters()[0] == sys.executable


def test_nothing_suitable_is_told_in_one_line(dev, monkeypatch, capsys):
    monkeypatch.setattr(dev, "interpreters", list)
    monkeypatch.setattr(dev.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        dev.make_environment()
    shown = capsys.readouterr().err
    assert stopped.value.code == 1 and shown.count("\n") == 1 and "no Python 3.10, 3.11, 3.12 found" in shown


def test_other_machines_are_refused(dev, monkeypatch, capsys):
    monkeypatch.setattr(dev.platform, "system", lambda: "Darwin")
    with pytest.raises(SystemExit):
        dev.main(["test"])
    assert "Linux on x86-64 only; this is Darwin" in capsys.readouterr().err


def test_what_is_installed_is_not_installed_again(dev, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(dev, "run_installer", lambda arguments: calls.extend(a for a in arguments if a == "--editable"))
    monkeypatch.setattr(dev, "make_environment", lambda: (tmp_path / ".venv").mkdir())
    monkeypatch.setattr(dev, "check_imports", lambda: None)
    monkeypatch.setattr(dev, "is_editable", lambda: True)
    dev.install("[test]")
    dev.install("[test]")
    dev.install("")
    assert len(calls) == 1
    monkeypatch.setattr(dev, "is_editable", lambda: False)
    dev.install("")
    assert len(calls) == 2
    monkeypatch.setattr(dev, "is_editable", lambda: True)
    (tmp_path / "setup.cfg").write_text("changed")
    dev.install("")
    dev.install("[test]")
    assert len(calls) == 4


def test_a_failed_installation_leaves_no_stamp(dev, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dev, "make_environment", lambda: (tmp_path / ".venv").mkdir())
    monkeypatch.setattr(dev, "run_installer", lambda arguments: "no such package")
    with pytest.raises(SystemExit):
        dev.install("[test]")
    assert dev.read_stamp() == [] and "no such package\ndev.py: the project could not be installed" in capsys.readouterr().err


def test_a_module_that_cannot_be_imported(dev):
    assert dev.importable("sys") is None
    assert dev.importable("no_such_module") == "ModuleNotFoundError: No module named 'no_such_module'"
    assert dev.importable("os; os._exit(7)") == "it ended with status 7"
