"""A process that has imported the service once, and forks others that run it."""

import gc
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from srx_service import cli, service  # noqa: F401 - what takes a second to import
from tests.system import dying


def main(folder: Path) -> int:
    """Fork a command for each line of standard input; tell its process id.

    When it ends, `<pid>.exit` in the folder holds its exit code, or minus its signal.
    """

    def on_end(_number: int, _frame: FrameType | None) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            code = str(os.waitstatus_to_exitcode(status))
            (new := folder / f"{pid}.new").write_text(code)
            new.rename(folder / f"{pid}.exit")

    signal.signal(signal.SIGCHLD, on_end)
    gc.freeze()  # so that no child looks through what all of them share
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            return _run(order)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    return 0


def _run(order: dict[str, Any]) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, descriptor in ((0, nothing), (1, log), (2, log)):
        os.dup2(descriptor, target)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    if order["is_mortal"]:
        dying.install(Path(order["log"]).with_suffix(".victim"))
    return cli.main(order["words"])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
