"""How soon the HTTP interface answers while the line runs at its full rate."""

import contextlib
import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import senders
from benchmarks.asking import LOOKED_EVERY_S, Durable, LongPoll
from benchmarks.clients import Asker, Connection
from benchmarks.rows import Row
from benchmarks.runs import Effort, Place, check
from benchmarks.service import DATASET, WARM_UP, Service
from benchmarks.verdicts import Figure, Measured, percentile
from srx_ophyd.client import ServiceClient

MOST_MS = 50.0
ASKED_EVERY_S = 0.05
"""Who asks for /status more often than 30 times a second waits, as the service is
made to."""
STEPS = 100
"""A long poll waits for this part of a series."""
LONG_POLL = "long poll"
COLUMN = f"{DATASET.rpartition('/')[0]}/timestamp"
"""A column grows with each flush, the dataset of the pixels in steps of its own."""


def measure(row: Row, place: Place, effort: Effort) -> Measured:
    """Return how long 99 of 100 answers take at most, by what is asked."""
    row = effort.of(row)
    image, file = senders.payload(row, place.folder), place.target / "http.h5"
    rates: list[float] = []
    with Service(row, place.folder, image) as service:
        client = ServiceClient(f"http://127.0.0.1:{service.api_port}")
        client.acquisitions()  # the first request makes the client, which takes longer
        loaded_s, least_s = 0.0, effort.repeat * effort.least_s
        clients = Clients(service, client, file)
        clients.series(min(WARM_UP, row.frames), image)
        clients.delays.clear()
        while not rates or loaded_s < least_s:
            lasted_s = clients.series(row.frames, image)
            loaded_s += lasted_s
            rates.append(row.frames / lasted_s)
        peak_mib = service.memory_mib()
        client.close()
    figures = [figure(what, found) for what, found in sorted(clients.delays.items())]
    details = {"fps": [round(rate, 1) for rate in rates]}
    memory = Figure("peak MiB", peak_mib, most=row.most_mib)
    return Measured((*figures, memory), details)


def figure(what: str, delays_s: list[float]) -> Figure:
    """Return what is asked of the answers to one question."""
    p50, p99, longest = (1e3 * percentile(delays_s, p) for p in (50, 99, 100))
    beside = f"{len(delays_s)} answers, p50 {p50:.1f} ms, longest {longest:.1f} ms"
    return Figure(f"p99 ms, {what}", p99, most=MOST_MS, beside=beside)


class Clients:
    """All that ask, while a series is received."""

    def __init__(self, service: Service, client: ServiceClient, file: Path) -> None:
        self._service, self._client, self._file = service, client, file
        self.delays: defaultdict[str, list[float]] = defaultdict(list)
        """Seconds by what was asked."""

    def series(self, frames: int, image: Path) -> float:
        """Send a series while everybody asks; return the seconds that it took."""
        service, file = self._service, self._file
        try:
            begun_s = time.monotonic()
            acquisition = service.begin(frames, file)
            with self._asking(acquisition, max(1, frames // STEPS)):
                service.finish(acquisition)
                lasted_s = time.monotonic() - begun_s
            check(file, service.row, frames, image)
        finally:
            file.unlink(missing_ok=True)
        return lasted_s

    @contextlib.contextmanager
    def _asking(self, acquisition: str, step: int) -> Iterator[None]:
        durable = Durable(self._file, COLUMN)
        with contextlib.ExitStack() as stack:
            poll = LongPoll(self._connection(stack), acquisition, durable, step)
            # Closed after all others, so that it has seen what they were told of.
            stack.callback(durable.close)
            stack.callback(Asker(durable.look, LOOKED_EVERY_S).close)
            stack.callback(Asker(poll.ask, 0.0).close)
            for path in ("/status", "/received_frames"):
                connection = self._connection(stack)
                get = functools.partial(connection.get, path)
                stack.callback(self._asker(f"GET {path}", get).close)
            get = functools.partial(self._client.acquisition, acquisition)
            stack.callback(self._asker("srx_ophyd acquisition()", get).close)
            yield
        self.delays[LONG_POLL].extend(poll.delays_s())

    def _connection(self, stack: contextlib.ExitStack) -> Connection:
        connection = Connection(self._service.api_port)
        stack.callback(connection.close)
        return connection

    def _asker(self, what: str, ask: Callable[[], object]) -> Asker:
        delays_s = self.delays[what]

        def timed() -> None:
            begun_s = time.monotonic()
            ask()
            delays_s.append(time.monotonic() - begun_s)

        return Asker(timed, ASKED_EVERY_S)
