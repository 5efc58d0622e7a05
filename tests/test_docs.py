"""Every block of code in README.md and the documents does what its readers expect."""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml
import zmq

from srx_service import cli, config
from srx_service.codecs import bslz4
from srx_service.messages import End, Image, Start
from srx_service.protocols import stins
from tests.blocks import ROOT, all_blocks, blocks, commands, markdown_files

LANGUAGES = {"", "text", "sh", "bash", "yaml", "python", "json", "ini"}
RUN_ELSEWHERE = {
    "docs/reference/http-api.md": "tests/service/api/test_docs.py",
    "docs/how-to/add-a-detector.md": "tests/system/test_add_a_detector.py",
    "docs/how-to/read-with-databroker.md": "tests/system/test_readers.py",
    "docs/how-to/read-with-event-model.md": "tests/system/test_readers.py",
    "docs/how-to/read-with-tiled.md": "tests/system/test_readers.py",
    "docs/how-to/use-with-bluesky.md": "tests/system/test_bluesky.py",
    "docs/how-to/use-in-ipython.md": "tests/system/test_ipython.py",
    "docs/how-to/use-with-ophyd-async.md": "tests/system/test_async_device.py",
    "docs/how-to/choose-file-names.md": "tests/system/test_file_names.py",
    "docs/how-to/live-processing.md": "tests/system/test_live_processing.py",
    "docs/how-to/open-a-file.md": "tests/system/test_tutorial.py",
    "docs/how-to/restrict-access.md": "tests/system/test_curve.py",
    "docs/how-to/run-with-containers.md": "tests/deploy/test_containers_page.py",
    "docs/how-to/write-nexus.md": "tests/system/test_nexus.py",
    "docs/reference/simplon.md": "tests/system/test_simplon.py",
    "docs/tutorials/first-scan.md": "tests/system/test_tutorial.py",
}
"""Documents whose Python and HTTP another module runs, against what they need."""
FOR_EXAMPLE = {
    "CONFIG": "detectors.yaml",
    "FILE": "detectors.yaml",
    "NAME": "dummy-eiger",
}
"""What placeholders in shell blocks stand for."""


def each(*languages):
    found = blocks(*languages)
    ids = [f"{block.file}:{block.line}" for block in found]
    return pytest.mark.parametrize("block", found, ids=ids)


class Example(NamedTuple):
    """What a fixture makes of a block: other text in places, and what it must print."""

    replace: dict[str, str]
    output: str | None
    """None: whatever it likes."""


@pytest.fixture
def secondary_port(free_port):
    """A secondary port that sends a series of two images, one of them compressed."""
    images = [np.full((3, 4), 7, "<u2"), np.full((3, 4), 9, "<u2")]
    packed = [("none", images[0].tobytes()), ("bslz4", bslz4.compress(images[1]))]
    messages = [Start(), *(image(i, *args) for i, args in enumerate(packed)), End()]

    def send():
        with zmq.Context() as context, context.socket(zmq.PUSH) as push:
            push.sndtimeo = push.linger = 60_000
            push.bind(f"tcp://127.0.0.1:{free_port}")
            for number, message in enumerate(messages):
                push.send_multipart(stins.encode(message, number))

    sender = threading.Thread(target=send)
    sender.start()
    yield Example({"localhost:26001": f"127.0.0.1:{free_port}"}, "0 7\n1 9\n")
    sender.join()


def image(frame, encoding, blob):
    return Image(
        number=None,
        frame=frame,
        shape=(3, 4),
        dtype="uint16",
        encoding=encoding,
        blobs=(blob,),
    )


def test_every_block_is_in_a_language_that_is_checked():
    others = [b for b in all_blocks() if b.language not in LANGUAGES]
    assert [b[:3] for b in others if b.file not in RUN_ELSEWHERE] == []


@pytest.mark.parametrize(("document", "tests"), RUN_ELSEWHERE.items())
def test_what_is_run_elsewhere_is_run_there(document, tests):
    assert Path(document).name in (ROOT / tests).read_text()


@pytest.mark.parametrize(
    "block",
    [b for b in blocks("python") if b.file not in RUN_ELSEWHERE],
    ids=lambda block: f"{block.file}:{block.line}",
)
def test_python_runs(block, request, tmp_path):
    example = Example({}, None)
    if block.fixture is not None:
        example = request.getfixturevalue(block.fixture)
    code = block.text
    for old, new in example.replace.items():
        assert old in code
        code = code.replace(old, new)
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert example.output in (None, done.stdout)


def run_python(code, folder):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@each("yaml")
def test_yaml_is_understood(block, tmp_path):
    path = tmp_path / "block.yaml"
    path.write_text(block.text)
    content = yaml.safe_load(block.text)
    if all(isinstance(entry, dict) and "class" in entry for entry in content.values()):
        assert list(config.load(path)) == list(content)


def test_json_is_json():
    for block in blocks("json"):
        json.loads(block.text)


@each("sh", "bash")
def test_shell_is_shell(block):
    subprocess.run(["bash", "-n", "-c", block.text], check=True)


@each("sh", "bash")
def test_srx_understands_its_arguments(block, monkeypatch):
    for name, *arguments in commands(block.text):
        words = [FOR_EXAMPLE.get(word, word) for word in arguments]
        match Path(name).name:
            case "srx":
                parse(words, monkeypatch)
            case "streaming-receiver":
                parse(["run", *words], monkeypatch)


class Understood(Exception):
    """The arguments have been read; nothing is to be done."""


def parse(words, monkeypatch):
    """Let the real parser read arguments, whichever module it is in."""
    real = argparse.ArgumentParser.parse_args

    def parse_args(self, *args, **kwargs):
        namespace = real(self, *args, **kwargs)
        if self.prog == "srx simulate":  # reads the name and hands the rest on
            return namespace
        raise Understood

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
        with pytest.raises(Understood):
            cli.main(words)


@pytest.mark.parametrize("words", [["fly"], ["check"], ["replay", "--nonsense"]])
def test_arguments_that_srx_does_not_know_are_found(words, monkeypatch):
    with pytest.raises(SystemExit):
        parse(words, monkeypatch)


def test_the_readme_is_short_and_says_what_srx_stands_for():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 80
    assert "streaming receiver" in lines[0]


@pytest.mark.parametrize("mark", ["main-job", "test-command"])
def test_the_readmes_commands_can_be_found_by_their_marks(mark):
    [block] = [b for b in blocks("sh") if (b.file, b.mark) == ("README.md", mark)]
    assert "-m venv .venv" in block.text


@pytest.mark.parametrize(
    "path", markdown_files(), ids=lambda path: str(path.relative_to(ROOT))
)
def test_links_between_files_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
