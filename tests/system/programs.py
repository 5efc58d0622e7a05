"""The programs in examples/, for the tests that run them as a reader would."""

import os
import subprocess
import sys
from pathlib import Path

from tests.system.conftest import API_KEY

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT_S = 100


def start(name, *arguments, **environment):
    words = [sys.executable, "-u", str(EXAMPLES / name), *map(str, arguments)]
    environment = os.environ | {"TILED_API_KEY": API_KEY} | environment
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)


def finish(process):
    try:
        printed, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    return printed.splitlines()
