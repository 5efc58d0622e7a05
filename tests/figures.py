"""Draw anew what the documents show of a scan: `python -m tests.figures`.

The tutorial's own code draws it, with the demo's service and simulator.
"""

import contextlib
import os
import tempfile
from pathlib import Path

from PIL import Image

from srx_ophyd.demo import place
from tests.blocks import ROOT, run_python

TUTORIAL = "docs/tutorials/first-scan.md"
FIGURE = ROOT / "docs" / "images" / "first-scan.png"


def main() -> None:
    """Take the tutorial's scan; keep its plot."""
    os.environ["MPLBACKEND"] = "Agg"
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        with place(Path(folder), "1065,1030") as where:
            places = {
                "http://localhost:5000": where.service,
                "http://localhost:8080": where.simplon,
                "/tmp/srx-first-scan": f"{folder}/data",
            }
            run_python(TUTORIAL, places)["eiger"].destroy()
        Image.open("first-scan.png").quantize().save(FIGURE, optimize=True)


if __name__ == "__main__":
    main()
