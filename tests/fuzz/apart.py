"""One input, one process: HDF5 may end the one that reads a damaged file, or hang it.

`python -m tests.fuzz.apart` reads inputs of the target `repair` from stdin, each after
its length, and answers each with a line: what became of it, or how it ended.
"""

import os
import resource
import signal
import struct
import subprocess
import sys
import traceback

SIZE = struct.Struct("<Q")
PATIENCE_S = 20
"""For one input, which takes some milliseconds."""
MEMORY_BYTES = 4 << 30
FAULT = "fault: "
"""What an answer begins with that is a defect of ours."""


class Apart:
    """A process to hand inputs to."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.apart"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, text: bytes) -> str:
        """Return what became of an input."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(SIZE.pack(len(text)) + text)
        self._process.stdin.flush()
        answer = self._process.stdout.readline().decode()
        assert answer, "the process that runs inputs has ended"
        assert not answer.startswith(FAULT), answer
        return answer.strip()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def serve() -> None:
    """Answer inputs until there are no more."""
    from tests.fuzz.repair import repaired

    while head := sys.stdin.buffer.read(SIZE.size):
        text = sys.stdin.buffer.read(SIZE.unpack(head)[0])
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            _run(text, writer, repaired)
        os.close(writer)
        with os.fdopen(reader) as answers:
            answer = answers.read()
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            answer = f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


def _run(text: bytes, writer: int, run) -> None:
    signal.alarm(PATIENCE_S)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = run(text)
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it is
        answer = FAULT + " | ".join(traceback.format_exc().splitlines()[-8:])
    os.write(writer, answer.encode()[:4000])
    os._exit(0)


if __name__ == "__main__":
    serve()
