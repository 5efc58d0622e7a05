"""`python -m benchmarks`: the service's rate as a ratio to the yardstick's, row by row.

Machines are shared and noisy, and noise only slows down: both run in turn, and the best
of each is compared with the best of the other, the spread shown beside it.
"""

import argparse
import datetime
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.rows import ROWS, Row
from benchmarks.runs import Result, build, run_service, run_yardstick


def main() -> int:
    """Print the table; 1 when a row misses its figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--repeat", type=int, default=6, help="runs of each (6)")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument(
        "--target", type=Path, default=Path("/dev/shm"), help="where files are written"
    )
    parser.add_argument("--save", type=Path, help="append the results to this file")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if arguments.only in row.name]
    misses = 0
    with tempfile.TemporaryDirectory(prefix="srx-benchmarks-") as folder:
        build(Path(folder))
        with tempfile.TemporaryDirectory(dir=arguments.target) as target:
            for row in rows:
                record = measure(row, arguments.repeat, Path(folder), Path(target))
                misses += record["ratio"] < row.least
                report(record)
                if arguments.save:
                    with arguments.save.open("a") as file:
                        file.write(json.dumps(record) + "\n")
    return 1 if misses else 0


def measure(row: Row, repeat: int, folder: Path, target: Path) -> dict:
    """Run both in turn; return the best of each and the spread."""
    yardstick: list[Result] = []
    service: list[Result] = []
    for _ in range(repeat):
        yardstick.append(run_yardstick(row, folder, target))
        service.append(run_service(row, folder, target))
    best = max(service, key=lambda result: result.frames_per_s)
    limit = max(yardstick, key=lambda result: result.frames_per_s)
    return {
        "row": row.name,
        "ratio": round(best.frames_per_s / limit.frames_per_s, 3),
        "least": row.least,
        "service_fps": [round(result.frames_per_s) for result in service],
        "yardstick_fps": [round(result.frames_per_s) for result in yardstick],
        "service_cpu_us": round(1e6 * best.cpu_s / row.frames, 2),
        "yardstick_cpu_us": round(1e6 * limit.cpu_s / row.frames, 2),
        "peak_mib": round(max(result.peak_mib for result in service)),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "commit": commit(),
    }


def commit() -> str:
    """Return the commit that is measured; empty outside a checkout."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def report(record: dict) -> None:
    """Print one row."""
    mark = "met" if record["ratio"] >= record["least"] else "MISSED"
    print(
        f"{record['row']:40} ratio {record['ratio']:.2f} (least {record['least']}, "
        f"{mark})  best {max(record['service_fps'])} of "
        f"{max(record['yardstick_fps'])} frames/s, {record['service_cpu_us']} of "
        f"{record['yardstick_cpu_us']} CPU µs a frame, peak {record['peak_mib']} MiB",
        flush=True,
    )
    print(f"  service   {record['service_fps']}")
    print(f"  yardstick {record['yardstick_fps']}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
