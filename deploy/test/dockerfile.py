"""Builds a Dockerfile's images and runs them, without an engine: RUN is a chroot.

    dockerfile.py build CONTEXT BASE WORK
    dockerfile.py run [-e NAME=TEXT] [-v HERE:THERE[:ro]] [--health] WORK/STAGE WORD...

BASE is a root file system that stands for every image outside. `build` makes of each
stage a folder, and beside it a file with how it is started. `run` starts it as an
engine would: as the user it names, its root read-only, /tmp in memory, without
capabilities, as process 1. It knows the instructions of our Dockerfile, no others.
For root, on Linux.
"""

import argparse
import ast
import fnmatch
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

LENT = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs")
"""Of this machine, while RUN lasts: how packages are fetched from here."""
LENT_VARIABLES = re.compile(r"PIP_|(HTTPS?|NO|ALL)_PROXY$|SSL_CERT_", re.I)
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Stage:
    """What an image is: its files, and how a container begins."""

    root: str
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    volumes: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    def inside(self, path: str) -> Path:
        """Return where a path of the image is here."""
        return Path(self.root) / Path("/", self.folder, path).relative_to("/")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction and its arguments, comments and line ends taken out.

    Raises:
        ValueError: `Builder` does not know one.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            if word not in KNOWN:
                raise ValueError(f"{word}: not one of {', '.join(KNOWN)}")
            yield word, rest.strip()


def is_ignored(path: str, patterns: Iterable[str]) -> bool:
    """Tell whether .dockerignore leaves out a path; the last pattern decides."""
    ignored = False
    parts = path.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        if any(_fits(part, bare) for part in above):
            ignored = not pattern.startswith("!")
    return ignored


def _fits(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        parts = path.split("/")
        return any(_fits("/".join(parts[n:]), pattern[3:]) for n in range(len(parts)))
    # in Docker's patterns * does not go over a /
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)


def pip_settings() -> dict[str, str]:
    """Return what pip's files on this machine say, as the variables it reads too."""
    words = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        scope, _, name = key.partition(".")
        if scope in ("global", "install"):
            found[f"PIP_{name.upper().replace('-', '_')}"] = ast.literal_eval(value)
    return found


@functools.cache
def lent_environment() -> dict[str, str]:
    """Return the variables of this machine by which packages are fetched."""
    own = {key: text for key, text in os.environ.items() if LENT_VARIABLES.match(key)}
    return pip_settings() | own


def lent_paths(environment: dict[str, str]) -> list[str]:
    """Return what of this machine those variables name, and `LENT`."""
    words = " ".join(environment.values()).split()
    paths = [word.removeprefix("file://") for word in words]
    # /opt/index/simple leads elsewhere in /opt/index, so all of it
    tops = ["/".join(path.split("/")[:3]) for path in paths if path.startswith("/")]
    wanted = dict.fromkeys([*LENT, *(top for top in tops if top[:5] != "/etc/")])
    return [path for path in wanted if Path(path).exists()]


class Builder:
    """Carries a Dockerfile out.

    Args:
        context: The folder it lies in.
        base: A root file system that stands for every image it is made FROM.
        work: Where the stages are to be.
    """

    def __init__(self, context: Path, base: Path, work: Path) -> None:
        self._context, self._base, self._work = context, base, work
        lines = (context / ".dockerignore").read_text().splitlines()
        self._ignore = [line for line in lines if line.strip() and line[0] != "#"]
        self._arguments: dict[str, str] = {}
        self._stages: dict[str, Stage] = {}
        self._stage = Stage(str(base))

    def build(self) -> dict[str, Stage]:
        """Make every stage, and return them by their names."""
        for word, rest in instructions((self._context / "Dockerfile").read_text()):
            print(f"--- {word} {rest}", flush=True)
            getattr(self, f"_{word.lower()}")(rest)
        for name, stage in self._stages.items():
            (self._work / f"{name}.json").write_text(json.dumps(asdict(stage)))
        return self._stages

    def _arg(self, rest: str) -> None:
        name, _, default = rest.partition("=")
        self._arguments[name] = os.environ.get(name, default)

    def _from(self, rest: str) -> None:
        source, _, name = self._filled(rest).split()
        before = self._stages.get(source, Stage(str(self._base)))
        root = self._work / name
        root.mkdir(parents=True)
        subprocess.run(["cp", "-a", f"{before.root}/.", root], check=True)
        environment = {"PATH": DEFAULT_PATH} | before.environment
        self._stage = Stage(str(root), environment, before.user, before.folder)
        self._stages[name] = self._stage

    def _env(self, rest: str) -> None:
        for word in shlex.split(rest):
            name, _, text = word.partition("=")
            self._stage.environment[name] = self._filled(text)

    def _workdir(self, rest: str) -> None:
        self._stage.folder = str(Path(self._stage.folder, rest))
        self._stage.inside(".").mkdir(parents=True, exist_ok=True)

    def _user(self, rest: str) -> None:
        self._stage.user = rest

    def _volume(self, rest: str) -> None:
        self._stage.volumes = json.loads(rest)

    def _expose(self, rest: str) -> None:
        """Tell a person which port there is, and nothing else."""

    def _entrypoint(self, rest: str) -> None:
        self._stage.entrypoint = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self._stage.command = json.loads(rest)

    def _healthcheck(self, rest: str) -> None:
        self._stage.healthcheck = json.loads(rest.partition("CMD ")[2])

    def _copy(self, rest: str) -> None:
        words = rest.split()
        stage = words.pop(0).removeprefix("--from=") if words[0][:2] == "--" else None
        *sources, target = words
        folder = self._stage.inside(target)
        for source in sources:
            if stage:
                whole = self._stages[stage].inside(source)
                shutil.copytree(whole, folder, symlinks=True, dirs_exist_ok=True)
            else:
                self._copy_from_context(source, folder, target.endswith("/"))

    def _copy_from_context(self, source: str, target: Path, is_folder: bool) -> None:
        path = self._context / source
        found = path.rglob("*") if path.is_dir() else [path]
        names = [str(file.relative_to(self._context)) for file in found]
        copied = [name for name in names if not is_ignored(name, self._ignore)]
        if not copied:
            raise FileNotFoundError(f"COPY {source}: not there, or in .dockerignore")
        for name in copied:
            place = target / Path(name).relative_to(source)
            if path.is_file() and is_folder:
                place = target / path.name
            if (self._context / name).is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self._context / name, place)

    def _run(self, rest: str) -> None:
        lent = lent_environment()
        environment = lent | self._stage.environment
        volumes = [f"{path}:{path}" for path in lent_paths(lent)]
        made = [place for place in map(self._place, volumes) if not place.exists()]
        words = isolated(self._stage, volumes, ["sh", "-euc", rest], is_build=True)
        subprocess.run(words, env=environment, check=True)
        for place in made:
            place.rmdir() if place.is_dir() else place.unlink()

    def _place(self, volume: str) -> Path:
        return self._stage.inside(volume.split(":")[1])

    def _filled(self, text: str) -> str:
        values = self._arguments | self._stage.environment
        return re.sub(r"\$\{?(\w+)\}?", lambda match: values[match[1]], text)


KNOWN = [
    name[1:].upper()
    for name in vars(Builder)
    if re.fullmatch("_[a-z]+", name)
    if name not in ("_place", "_filled")
]
"""The instructions that a Builder carries out."""


def isolated(
    stage: Stage, volumes: Sequence[str], words: Sequence[str], *, is_build: bool
) -> list[str]:
    """Return a command that runs `words` in a stage, with mounts of its own.

    Args:
        stage: Where.
        volumes: HERE:THERE or HERE:THERE:ro.
        words: What.
        is_build: As root, who may write; else as the stage's user, read-only.
    """
    root = shlex.quote(stage.root)
    steps = [
        f"mount --bind {root} {root}",
        f"mount -t proc proc {root}/proc",
        f"mount --rbind /dev {root}/dev",
        f"mount -t tmpfs -o mode=1777 tmpfs {root}/dev/shm",
        f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp" if not is_build else ":",
    ]
    for volume in volumes:
        here, there, *options = volume.split(":")
        place = stage.inside(there)
        if Path(here).is_dir():
            place.mkdir(parents=True, exist_ok=True)
        elif not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        steps.append(f"mount --bind {shlex.quote(here)} {shlex.quote(str(place))}")
        if options == ["ro"]:
            steps.append(f"mount -o remount,bind,ro {shlex.quote(str(place))}")
    inside = f"cd {stage.folder} && exec {shlex.join(words)}"
    less: list[str] = []
    if not is_build:
        steps.append(f"mount -o remount,bind,ro {root}")
        user, _, group = stage.user.partition(":")
        less = [f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        less += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        less = ["setpriv", *less]
    end = shlex.join(["chroot", stage.root, *less, "sh", "-c", inside])
    program = "\n".join([*steps, f"exec {end}"])
    return [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-euc",
        program,
    ]


def run(arguments: argparse.Namespace) -> None:
    """Become a container; does not return."""
    stage = Stage(**json.loads(Path(f"{arguments.stage}.json").read_text()))
    words = [*stage.entrypoint, *(arguments.words or stage.command)]
    environment = dict(stage.environment)
    environment |= dict(text.split("=", 1) for text in arguments.environment)
    if arguments.health:
        words = stage.healthcheck
    command = isolated(stage, arguments.volume, words, is_build=False)
    sys.stdout.flush()
    os.execvpe(command[0], command, environment)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    build = commands.add_parser("build")
    for name in ("context", "base", "work"):
        build.add_argument(name, type=lambda text: Path(text).resolve())
    build.set_defaults(do=lambda a: Builder(a.context, a.base, a.work).build())
    start = commands.add_parser("run")
    start.add_argument("stage")
    start.add_argument("-e", dest="environment", action="append", default=[])
    start.add_argument("-v", dest="volume", action="append", default=[])
    start.add_argument("--health", action="store_true")
    start.add_argument("words", nargs=argparse.REMAINDER)
    start.set_defaults(do=run)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
