"""What deploy/test/image.sh relies on; it itself takes minutes and is run by hand."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/test"


@pytest.fixture(scope="module")
def dockerfile():
    spec = importlib.util.spec_from_file_location(
        "dockerfile", FOLDER / "dockerfile.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def built(dockerfile, tmp_path):
    """Build a Dockerfile whose steps need no root: FROM, COPY, ENV and the like."""

    def build(text, ignored="", **files):
        context, base = tmp_path / "context", tmp_path / "base"
        for name, content in {"Dockerfile": text, ".dockerignore": ignored}.items():
            context.mkdir(exist_ok=True)
            (context / name).write_text(content)
        for name in files.get("there", []):
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            (context / name).write_text(name)
        (base / "etc").mkdir(parents=True)
        return dockerfile.Builder(context, base, tmp_path / "work").build()

    return build


def test_every_instruction_of_ours_is_known(dockerfile):
    words = [
        word for word, _ in dockerfile.instructions((ROOT / "Dockerfile").read_text())
    ]
    assert words.count("FROM") == 6
    assert {"ARG", "RUN", "COPY", "ENV", "USER", "HEALTHCHECK", "ENTRYPOINT"} <= {
        *words
    }


@pytest.mark.parametrize("line", ["SHELL ['bash']", "ADD a b", "run true", "PLACE x"])
def test_an_instruction_that_nobody_carries_out_is_refused(dockerfile, line):
    with pytest.raises(ValueError, match="not one of ARG, FROM"):
        list(dockerfile.instructions(f"FROM a AS b\n{line}\n"))


def test_lines_are_joined_and_comments_left_out(dockerfile):
    text = "# first\nRUN one \\\n    # between\n    && two\n\nENV A=1 \\\n    B=2\n"
    found = [("RUN", "one && two"), ("ENV", "A=1 B=2")]
    assert list(dockerfile.instructions(text)) == found


@pytest.mark.parametrize(
    ("path", "is_left_out"),
    [
        ("srx_service/cli.py", False),
        ("deploy/image/service.txt", False),
        ("deploy/image/lock.sh", True),
        ("srx_service/__pycache__/cli.pyc", True),
        ("srx_service/api/page/source/package.json", True),
        ("srx_service/api/page/static/index.html", False),
        (".git/config", True),
        ("tests/conftest.py", True),
    ],
)
def test_the_context_is_what_dockerignore_lets_through(dockerfile, path, is_left_out):
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and line[0] != "#"]
    assert dockerfile.is_ignored(path, patterns) == is_left_out


def test_stages_inherit_and_copy_from_one_another(built):
    stages = built(
        "ARG IMAGE=python:1\nFROM ${IMAGE} AS one\nENV A=1 PATH=/opt/bin:$PATH\n"
        "WORKDIR /src\nCOPY a.txt b.txt ./\nCOPY folder folder\n"
        'FROM one AS two\nCOPY --from=one /src /copied\nUSER 7:8\nCMD ["srx"]\n',
        ignored="folder/no.txt\n",
        there=["a.txt", "b.txt", "folder/yes.txt", "folder/no.txt"],
    )
    two = stages["two"]
    files = {str(p.relative_to(two.root)) for p in Path(two.root).rglob("*.txt")}
    names = {"a.txt", "b.txt", "folder/yes.txt"}
    assert files == {f"{top}/{name}" for top in ("src", "copied") for name in names}
    assert two.environment["A"] == "1"
    assert two.environment["PATH"].startswith("/opt/bin:/usr/local/sbin:")
    assert (two.user, two.command, two.folder) == ("7:8", ["srx"], "/src")


def test_copying_what_is_ignored_fails_as_in_an_engine(built):
    with pytest.raises(FileNotFoundError, match=r"COPY a[.]txt: not there"):
        built("FROM x AS y\nCOPY a.txt /\n", ignored="*\n", there=["a.txt"])


def test_a_container_is_read_only_and_without_rights(dockerfile):
    stage = dockerfile.Stage("/nowhere/root", user="1000:1000")
    program = dockerfile.isolated(stage, [], ["srx"], is_build=False)[-1]
    assert "mount -o remount,bind,ro /nowhere/root\n" in program
    for word in ("--reuid=1000", "--no-new-privs", "--bounding-set=-all"):
        assert word in program


def test_the_script_is_sound_bash():
    script = FOLDER / "image.sh"
    assert script.stat().st_mode & 0o111
    bash = shutil.which("bash")
    assert bash
    subprocess.run([bash, "-n", script], check=True, timeout=30)
