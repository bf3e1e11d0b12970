"""Every command and every Python block of README.md and docs/*.md runs.

A document's blocks run in order, in one folder that holds what they name (`workspace`), and its Python blocks share their names.
Trainings last one epoch; with `-m long` as long as the document says. A comment before a block says what is different with it:

    <!-- not run: REASON -->
    <!-- long: REASON -->       only with -m long
"""

import configparser
import re
import shlex
import shutil
import textwrap
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from ssdzoo import get_model
from ssdzoo.demo.quickstart import TABLE
from ssdzoo.demo.shapes import write_shapes
from ssdzoo.detections import Detections
from ssdzoo.runtime import mxnet
from tests.command import ssdzoo
from tests.mxnet_ssd import build, pack
from tests.serve.servers import client
from tests.shared import BCCD

mx = mxnet()

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(["README.md", *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))])
FENCE = re.compile(
    r"(?:<!-- *(?P<mark>not run|long) *(?:: *(?P<reason>.+?))? *-->\s*\n)?"
    r"(?P<indent>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)\n(?P=indent)```",
    re.DOTALL,
)
SHELLS = ("", "bash", "sh", "console")
PROGRAMS = ("ssdzoo", "pip", "python", "python3", "git", "source", "cd", "apt", "docker", "curl", "mkdocs")
PLACEHOLDERS = {"MODEL": "quickstart/quickstart.toml"}
SHORT = ("--epochs", "1", "--workers", "0")


class Block(NamedTuple):
    line: int
    mark: str | None  # "not run" or "long"
    reason: str | None
    language: str
    text: str


def blocks_of(text: str) -> list[Block]:
    found = []
    for m in FENCE.finditer(text):
        line = text[: m.start("language")].count("\n") + 1
        found.append(Block(line, m["mark"], m["reason"], m["language"], textwrap.dedent(m["text"])))
    return found


def commands_of(text: str) -> list[list[str]]:
    """The commands of a shell block: its lines after `$`, or all if the first one calls a program; of other text none."""
    lines = text.replace("\\\n", " ").splitlines()
    prompts = [line[2:] for line in lines if line.startswith("$ ")]
    words = [shlex.split(line, comments=True) for line in prompts or lines]
    called = [w for w in words if w]
    return called if prompts or (called and called[0][0] in PROGRAMS) else []


def extras() -> set[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return set(setup["options.extras_require"])


def run_command(words: list[str], whole: bool, servers: list) -> None:
    program, *arguments = (PLACEHOLDERS.get(word, word) for word in words)
    if program == "curl":
        assert curl(servers[-1], arguments).status_code == 200
        return
    if program == "pip":  # installs nothing here
        for names in re.findall(r"(?:ssdzoo|\.)\[([\w,]+)\]", " ".join(arguments)):
            assert set(names.split(",")) <= extras(), f"setup.cfg has no extra {names}"
        return
    assert program == "ssdzoo", f"how to run {program!r} is not known here: write <!-- not run: REASON --> before the block"
    if arguments[0] == "export":
        remove(Path(arguments[arguments.index("--out") + 1]))
    if arguments[0] == "train" and "--resume" not in arguments:
        remove(Path(arguments[arguments.index("--out") + 1]))
        arguments += [] if whole else SHORT
    ssdzoo(*arguments)


def curl(opened, arguments: list[str]):
    """The answer of a server in this process to what `curl` would send."""
    body, files, headers, url = None, [], {}, ""
    words = iter(arguments)
    for word in words:
        if word == "--data-binary":
            body = Path(next(words).removeprefix("@")).read_bytes()
        elif word == "-F":
            field, _, path = next(words).partition("=@")
            files.append((field, (path, Path(path).read_bytes())))
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        else:
            url = word
    return opened.request("POST" if body or files else "GET", url, content=body, files=files or None, headers=headers)


def remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A folder with data sets, photos, a run and weights under the names that the documents give them."""
    folder = tmp_path_factory.mktemp("docs")
    write_shapes(folder / "quickstart" / "data", 6, 2, 9)
    (folder / "quickstart" / "quickstart.toml").write_text(TABLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        training = blocks_of((ROOT / "docs" / "training.md").read_text("utf-8"))
        Path("mine.toml").write_text(next(block.text for block in training if block.language == "toml"))
        Path("data").mkdir()
        for name in ("bccd", "DATA", "data/cells"):
            Path(name).symlink_to(BCCD)
        Path("photos").symlink_to(BCCD / "JPEGImages")
        Path("photo.jpg").symlink_to(BCCD / "JPEGImages" / "BloodImage_00065.jpg")
        for data, out in (("bccd", "trained"), ("quickstart/data", "quickstart/run")):
            ssdzoo("train", "quickstart/quickstart.toml", data, "--out", out, "--base-weights", "none", *SHORT)
        Path("runs").mkdir()
        for name in ("RUN", "runs/bccd"):
            Path(name).symlink_to(folder / "trained")
        backbone = mx.gluon.model_zoo.vision.mobilenet0_25()
        backbone.initialize(mx.init.Xavier())
        backbone(mx.nd.zeros((1, 3, 64, 64)))
        for name in ("BASE", "FILE", "mobilenet0.25.params"):
            backbone.save_parameters(name)
        Path("home/models").mkdir(parents=True)
        backbone.save_parameters("home/models/mobilenet0.25.params")
        old = get_model("ssd_512_resnet18_v1_custom", classes=["cat", "dog"])
        old.initialize(mx.init.Xavier())
        old.save_parameters("OLD.params")
        sagemaker = build("resnet50", 128, classes=3, mean=(0, 0, 0))
        pack(sagemaker.write(Path("sagemaker")), Path("model.tar.gz"))
    return folder


def given() -> dict:
    """What the Python blocks may use without saying where it is from."""
    box, ids = [[10, 10, 50, 50]], [0]
    objects = SimpleNamespace(boxes=box, class_ids=ids, difficult=[False])
    return {"images": [(Detections(box, [0.9], ids, ["cat"]), objects)]}


def run_document(name: str, workspace: Path, monkeypatch, whole: bool) -> None:
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("MXNET_HOME", str(workspace / "home"))
    names, servers = given(), []
    with ExitStack() as opened:
        monkeypatch.setattr("ssdzoo.serve.server.bind", lambda host, port: None)
        monkeypatch.setattr("ssdzoo.serve.server.run", lambda service, _: servers.append(opened.enter_context(client(service))))
        for block in blocks_of((ROOT / name).read_text("utf-8")):
            if block.mark == "not run" or (block.mark == "long" and not whole):
                continue
            place = f"{name}:{block.line}"
            try:
                if block.language == "python":
                    exec(compile(block.text, place, "exec"), names)
                for words in commands_of(block.text) if block.language in SHELLS else ():
                    place = f"{name}:{block.line}: {shlex.join(words)}"
                    run_command(words, whole, servers)
            except Exception as error:
                pytest.fail(f"{place}\n{type(error).__name__}: {error}", pytrace=False)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document(name, workspace, monkeypatch):
    run_document(name, workspace, monkeypatch, whole=False)


@pytest.mark.long
@pytest.mark.parametrize("name", DOCUMENTS)
def test_whole_document(name, workspace, monkeypatch):
    run_document(name, workspace, monkeypatch, whole=True)


def test_what_is_not_run_says_why():
    for name in DOCUMENTS:
        for block in blocks_of((ROOT / name).read_text("utf-8")):
            assert block.mark is None or block.reason, f"{name}:{block.line}: {block.mark} without a reason"


def test_blocks_and_commands_are_found():
    text = (
        "a\n\n<!-- not run: a GPU -->\n```\nssdzoo x \\\n  --y 'a b'  # why\npip z\n```\n  ```python\n  if a:\n      b\n  ```\n"
    )
    first, second = blocks_of(text)
    assert first[:4] == (4, "not run", "a GPU", "") and second == (9, None, None, "python", "if a:\n    b")
    assert commands_of(first.text) == [["ssdzoo", "x", "--y", "a b"], ["pip", "z"]]
    assert commands_of("$ ssdzoo models\nname  input\n") == [["ssdzoo", "models"]]
    assert commands_of("name  input\n") == commands_of("") == []
