"""A writer in its thread that is killed: run as a process of its own.

Prints the rows that are durable, line by line, as soon as they are.
"""

import sys
import threading
import time
from pathlib import Path

from srx_service.messages import Start
from srx_service.orders import Create, Header, Holes, Rows
from tests.service.writing import Desk, acquisition, image


def main(folder: Path, frames_per_chunk: int, encoding: str) -> None:
    desk = Desk(folder, frames_per_chunk=frames_per_chunk)
    desk.writer._filing._clock = time.monotonic
    made = acquisition(desk.file)

    def tell() -> None:
        sys.stdout.write(f"{made.rows}\n")
        sys.stdout.flush()

    desk.writer._notify = desk.writer._filing._notify = tell
    threading.Thread(target=desk.writer.run).start()
    header = Header(made, Start(metadata={"a": 1}), 0)
    desk.writer.put([Create(made, True), header], 0)
    for row in range(0, 1_000_000, 5):
        extras = {"exposure": row / 10, "text": str(row)}
        shots = [image(row + k, encoding, extras=extras) for k in range(4)]
        orders = [
            Rows(made, row, shots, [5.0] * len(shots)),
            Holes(made, row + 4, 1, "missing"),
        ]
        desk.writer.put(list(orders), 400)
        time.sleep(0.001 * (row % 4))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
