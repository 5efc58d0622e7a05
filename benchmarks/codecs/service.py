"""`python -m benchmarks.codecs.service`: PilatusPipeline in the whole service.

A series of CBF files is received, decoded, rotated, masked, compressed and written,
with one worker and with two in turn. The sender is a process of the same machine.
"""

import argparse
import dataclasses
import os
import tempfile
from pathlib import Path

from benchmarks.codecs.__main__ import PILATUS_2M, picture
from benchmarks.rows import Row
from benchmarks.senders import build
from benchmarks.service import Service
from srx_service.codecs import cbf

ROW = Row(
    name="1679x1475 cbf",
    shape=PILATUS_2M,
    dtype="int32",
    frames=600,
    least=1.6,
    compression="cbf",
    config={
        "pipeline": "PilatusPipeline",
        "rotate": True,
        "mask": [[0, 195], [487, 981]],
    },
)


def main() -> None:
    """Print the rate and how busy the cores are, for one worker and for two."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.codecs.service")
    parser.add_argument("--repeat", type=int, default=6)
    parser.add_argument("--target", type=Path, default=Path("/dev/shm"))
    options = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        for _ in range(options.repeat):
            for workers, found in rates.items():
                rate, busy = measure(workers, Path(folder), options.target)
                found.append(rate)
                words = f"{workers} workers: {rate:6.1f} frames/s, "
                print(
                    f"{words}{busy:4.0%} of all cores used by the service", flush=True
                )
    print(f"ratio {max(rates[2]) / max(rates[1]):.2f} ≥ {ROW.least}")


def measure(workers: int, folder: Path, target: Path) -> tuple[float, float]:
    """Return frames a second, and the part of all cores that the service used."""
    image, file = folder / "image.cbf", target / "pipeline.h5"
    image.write_bytes(cbf.encode(picture()))
    config = {**ROW.config, "transform_workers": workers}
    row = dataclasses.replace(ROW, config=config)
    service = Service(row, folder, image)
    try:
        service.series(20, target / "warm.h5")
        used_s = service.cpu_s()
        seconds = service.series(row.frames, file)
        cores = os.cpu_count() or 1
        return row.frames / seconds, (service.cpu_s() - used_s) / seconds / cores
    finally:
        service.close()
        for path in (file, target / "warm.h5"):
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
