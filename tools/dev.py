#!/usr/bin/env python3
"""Sets up this checkout and runs it.

    python3 tools/dev.py quickstart [options of `ssdzoo quickstart`]
    python3 tools/dev.py test [--with-torch] [options of pytest]

`quickstart` draws a small data set, trains a detector on it and saves a picture of what it finds. `test` runs the tests on all
cores; `-m long` runs those that take minutes each. The tests of torch need its CPU build: it is installed where pip is configured
to find it, and `--with-torch` downloads it from torch's own index (about 200 MB). Without it they are skipped.

Both make `.venv` in the checkout with a Python that mxnet has wheels for, and install the project there, which takes about 1 GB.
They need nothing but Python: pip installs, or uv if it is on PATH, which is faster.
"""

import glob
import hashlib
import os
import platform
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "installed")
VERSIONS = ("3.11", "3.10", "3.12")
COMMANDS = {"quickstart": "", "test": "[test]"}  # and the extras that each needs
# The plain version on PyPI is built for GPUs and takes gigabytes. Only builds for the CPU have this one.
TORCH, TORCH_INDEX = "torch==2.13.0+cpu", "https://download.pytorch.org/whl/cpu"


def main(arguments):
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return
    if not arguments or arguments[0] not in COMMANDS:
        stop("usage: python3 tools/dev.py {%s} [options]; --help explains them" % "|".join(COMMANDS), 2)
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        stop("mxnet has wheels for Linux on x86-64 only; this is %s on %s" % (platform.system(), platform.machine()))
    command, rest = arguments[0], arguments[1:]
    install(COMMANDS[command])
    if command == "quickstart":
        program = [os.path.join(VENV, "bin", "ssdzoo"), "quickstart"]
    else:
        install_torch(download="--with-torch" in rest)
        rest = [argument for argument in rest if argument != "--with-torch"]
        # One process for each core, and each file in one of them, for the sake of what its tests share. Files go out in the
        # order of tests/conftest.py: the slow ones first.
        program = [PYTHON, "-m", "pytest", "--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile", "--no-loadscope-reorder"]
    os.chdir(ROOT)
    os.execv(program[0], program + rest)


def stop(message, status=1):
    print("dev.py: " + message, file=sys.stderr)
    sys.exit(status)


def install(extras):
    """Makes .venv and installs the project into it, unless that is done already."""
    wanted = fingerprint()
    done = read_stamp()
    if done[:1] == [wanted] and extras in done[1:] and works(PYTHON) and is_editable():
        return
    if done[:1] != [wanted] or not works(PYTHON):
        shutil.rmtree(VENV, ignore_errors=True)
        make_environment()
    if os.path.exists(STAMP):
        os.remove(STAMP)
    say("installing ssdzoo%s and what it needs (about 1 GB)" % extras)
    if not shutil.which("uv"):
        run_installer(["--upgrade", "pip"])  # one of 2023 takes twice as long for the rest
    problem = run_installer(["--editable", ROOT + extras])
    if problem:
        print(problem, file=sys.stderr)
        stop("the project could not be installed (the end of the output is above); can the package index be reached?")
    check_imports()
    with open(STAMP, "w") as file:
        # The test extra contains all that the quickstart needs.
        file.write("\n".join([wanted, "", extras]))


def is_editable():
    """Whether what is installed is this checkout: a `pip install .` replaces it by a copy."""
    code = "import importlib.util as u, os, sys; sys.exit(os.path.realpath(u.find_spec('ssdzoo').origin) != sys.argv[1])"
    wanted = os.path.realpath(os.path.join(ROOT, "ssdzoo", "__init__.py"))
    return subprocess.run([PYTHON, "-c", code, wanted], cwd=VENV, stderr=subprocess.DEVNULL).returncode == 0


def fingerprint():
    """Changes whenever what has to be installed does."""
    digest = hashlib.sha256(ROOT.encode())
    for name in ("setup.cfg", "setup.py", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def read_stamp():
    try:
        with open(STAMP) as file:
            return file.read().split("\n")
    except OSError:
        return []


def make_environment():
    """Tries the interpreters until one makes an environment with pip."""
    problems = []
    for python in interpreters():
        result = subprocess.run([python, "-m", "venv", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if result.returncode == 0 and works(PYTHON):
            say("made .venv with %s" % python)
            return
        shutil.rmtree(VENV, ignore_errors=True)
        problems.append(python)
    if shutil.which("uv"):
        # uv brings an interpreter of its own where the machine has none.
        result = subprocess.run(["uv", "venv", "--quiet", "--seed", "--python", VERSIONS[0], VENV])
        if result.returncode == 0 and works(PYTHON):
            say("made .venv with uv")
            return
    if problems:
        stop("%s can't make an environment with pip: apt install python3-venv" % problems[0])
    stop(
        "no Python %s found (mxnet has wheels for no other): apt install python3 python3-venv, or pyenv install 3.11"
        % ", ".join(sorted(VERSIONS))
    )


def interpreters():
    """Paths of suitable interpreters: this one first if it suits, then by version, from PATH, pyenv and uv."""
    found = []
    if "%d.%d" % sys.version_info[:2] in VERSIONS:
        found.append(sys.executable)
    for version in VERSIONS:
        homes = [os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")) + "/versions/%s.*/bin" % version]
        homes.append(os.path.expanduser("~/.local/share/uv/python/cpython-%s.*/bin" % version))
        homes += ["/usr/bin", "/usr/local/bin"] + os.environ.get("PATH", "").split(os.pathsep)
        for home in homes:
            found += sorted(glob.glob(os.path.join(home, "python" + version)), reverse=True)
    unique = list(dict.fromkeys(found))
    return [python for python in unique if is_version(python)]


def is_version(python):
    """Whether an interpreter runs (a pyenv shim may not) and is a CPython of a version that will do."""
    code = "import sys, struct; print('%d.%d' % sys.version_info[:2], struct.calcsize('P'), sys.implementation.name)"
    try:
        text = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return text.decode().split() in [[version, "8", "cpython"] for version in VERSIONS]


def works(python):
    try:
        return (
            subprocess.run([python, "-m", "pip", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
            == 0
        )
    except OSError:
        return False


def run_installer(arguments):
    """Installs with uv or pip into .venv; returns the end of the output if that fails."""
    if shutil.which("uv"):
        command = ["uv", "pip", "install", "--quiet", "--python", PYTHON]
    else:
        # Python compiles what it imports; compiling all of it here would take 20 seconds.
        command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    result = subprocess.run(command + arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return "\n".join(result.stdout.decode(errors="replace").splitlines()[-15:]) if result.returncode else ""


def install_torch(download):
    """Installs the CPU build from where pip is configured to look (a folder of wheels, say), or downloads it if asked to."""
    if importable("torch") is None or not run_installer([TORCH]):
        return
    if not download:
        say("the tests of torch are skipped: --with-torch downloads its CPU build (about 200 MB)")
    elif run_installer([TORCH, "--extra-index-url", TORCH_INDEX]):
        stop("%s can't be installed: neither the configured package index has it nor %s" % (TORCH, TORCH_INDEX))


def check_imports():
    """Finds missing system libraries now, and replaces the OpenCV that needs libGL, which a bare Debian lacks."""
    problem = importable("cv2")
    if problem is not None and "libGL" in problem:
        say("OpenCV's window library is missing on this machine: installing opencv-python-headless instead")
        code = "from importlib.metadata import version; print(version('opencv-python'))"
        version = subprocess.run([PYTHON, "-c", code], stdout=subprocess.PIPE).stdout.decode().strip()
        run_installer(["--force-reinstall", "--no-deps", "opencv-python-headless==" + version])
    for module, remedy in (("cv2", "libgl1 libglib2.0-0"), ("ssdzoo, mxnet", "libgomp1 libquadmath0")):
        problem = importable(module)
        if problem is not None:
            stop("%s can't be imported (%s): apt install %s" % (module.split(", ")[-1], problem, remedy))


def importable(modules):
    """None, or the last line of the error."""
    result = subprocess.run([PYTHON, "-c", "import " + modules], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if result.returncode == 0:
        return None
    lines = result.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it ended with status %d" % result.returncode


def say(text):
    print("dev.py: " + text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
