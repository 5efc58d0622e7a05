"""Requests that nobody would send on purpose, to a living service.

schemathesis makes them from the OpenAPI: what it allows, and what it forbids. Others
are good requests with damaged bytes, as no HTTP library would send them.
`python -m tests.fuzz.http --count 10000` starts a service, streams series to it all the
while, and prints the answers by status.
"""

import argparse
import contextlib
import http.client
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import requests
import schemathesis
import yaml
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from srx_service.api.openapi import document
from tests.fuzz.mutations import mutated
from tests.system.sources import Sender, sender_on, series

NO_ANSWER = 0
"""Stands for the status where the connection was closed instead."""
CHECKS = (
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
"""What schemathesis looks at in each answer: is it what the OpenAPI says?"""
EXPECTED_5XX = {503, 507}
"""Not ready, or the disk is full: true answers. Any other is a defect."""
PATIENCE_S = 30.0
BODIES = (
    b"",
    b'{"file": null}',
    b'{"file": "/data/a.h5", "series": "open", "expected": 7, "metadata": {"a": [1]}}',
    b'{"expected": 5, "series_id": 3}',
    b'{"rows": 0}',
)
TOKENS = (
    b"\r\n\r\n",
    b"\r\n",
    b"\n",
    b"\x00",
    b"%00",
    b"%ff",
    b"../",
    b"HTTP/9.9",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: -1",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n",
    b"Authorization: Bearer \xff\r\n",
    b"1e999",
    b'"\\ud800"',
    b"99999999999999999999",
    b"[" * 500,
    b"a" * 20_000,
)


class HttpFuzz:
    """Sends requests to a service and counts the answers.

    Args:
        url: Of the service.
        folder: Where it may write, for files that can be made.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.statuses: Counter[tuple[str, int]] = Counter()
        """By operation and status."""
        self.defects: list[str] = []
        self.operations = [
            found.ok()
            for found in schemathesis.openapi.from_dict(
                yaml.safe_load(document())
            ).get_all_operations()
        ]
        schemathesis.checks.load_all_checks()
        self._checks = [schemathesis.checks.CHECKS.get_one(name) for name in CHECKS]
        self._session = requests.Session()
        self._session.trust_env = False
        self._rng = random.Random(0)
        self._files = 0

    def close(self) -> None:
        """Hang up."""
        self._session.close()

    def _count(self, what: str, status: int, sent: object) -> None:
        self.statuses[what, status] += 1
        if status >= 500 and status not in EXPECTED_5XX:
            self.defects.append(f"{status}: {what}: {str(sent)[:2000]}")

    # -- what the OpenAPI says --------------------------------------------------------

    def from_openapi(self, each: int, seed: int) -> None:
        """Send of every operation so many requests that are allowed, as many not."""
        for operation in self.operations:
            for mode in GenerationMode:
                self._of(operation, mode, each, seed)

    def _of(self, operation: Any, mode: GenerationMode, each: int, seed: int) -> None:
        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=each,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            self._send(f"{operation.method.upper()} {operation.path}", case)

        with contextlib.suppress(Unsatisfiable):  # there is nothing to be wrong with
            send()

    def _send(self, what: str, case: Any) -> None:
        self._point_to_what_is_there(case)
        try:
            answer = case.call(
                base_url=self.url, session=self._session, timeout=PATIENCE_S
            )
        except (requests.ConnectionError, requests.exceptions.InvalidHeader):
            self._count(what, NO_ANSWER, case)
            return
        except (UnicodeError, ValueError, http.client.HTTPException):
            return  # no library can send it; the damaged bytes below can
        self._count(what, answer.status_code, case.as_curl_command())
        try:
            case.validate_response(answer, checks=self._checks)
        except Exception as error:  # noqa: BLE001 - a group of what is wrong with it
            self.defects.append(f"{what}: {str(error)[:2000]}")

    def _point_to_what_is_there(self, case: Any) -> None:
        """Name an acquisition that is known, and a file that can be made, at times."""
        if "id" in (case.path_parameters or {}) and self._rng.random() < 0.6:
            known = self._session.get(f"{self.url}/api/v1/acquisitions").json()
            if known["acquisitions"]:
                case.path_parameters["id"] = known["acquisitions"][0]["id"]
            if isinstance(case.query, dict) and "timeout" in case.query:
                case.query["timeout"] = 0.01
        if isinstance(case.body, dict) and "file" in case.body:
            self._files += 1
            case.body["file"] = str(self.folder / f"{self._files}.h5")

    # -- damaged bytes ----------------------------------------------------------------

    def damaged(self, count: int, seed: int) -> None:
        """Send so many requests whose bytes are damaged."""
        rng = random.Random(seed)
        for _ in range(count):
            text = self._good(rng)
            for _ in range(rng.randint(1, 3)):
                text = mutated(rng, text, TOKENS)
            self._count("damaged bytes", self._answer(text), text)

    def _good(self, rng: random.Random) -> bytes:
        operation, body = rng.choice(self.operations), rng.choice(BODIES)
        path = operation.path.replace("{id}", "0123456789ab")
        head = f"{operation.method.upper()} {path}?total=1&timeout=0.01 HTTP/1.1\r\n"
        head += (
            f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        )
        return head.encode() + b"\r\nConnection: close\r\n\r\n" + body

    def _answer(self, text: bytes) -> int:
        """Return the status of the first answer to some bytes."""
        address = urlsplit(self.url)
        try:
            with socket.create_connection(
                (address.hostname, address.port), timeout=PATIENCE_S
            ) as connection:
                connection.sendall(text)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(64)
        except (ConnectionError, BrokenPipeError):
            return NO_ANSWER
        words = answer.split(b" ", 2)
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else NO_ANSWER


def run(fuzz: HttpFuzz, count: int) -> None:
    """Send so many requests or a few more: half of them as the OpenAPI says."""
    seed = 0
    while fuzz.statuses.total() < count:
        fuzz.from_openapi(20, seed)
        fuzz.damaged(fuzz.statuses.total() // (seed + 1), seed)
        seed += 1


def table(statuses: Counter[tuple[str, int]]) -> Iterator[str]:
    """Yield the lines of a table: for each operation its answers."""
    yield "| operation | requests | answers |"
    yield "|---|---|---|"
    for what in dict.fromkeys(what for what, _ in sorted(statuses)):
        answers = {s: n for (w, s), n in sorted(statuses.items()) if w == what}
        told = ", ".join(f"{s or 'closed'}: {n:,}" for s, n in answers.items())
        yield f"| {what} | {sum(answers.values()):,} | {told} |"


@contextlib.contextmanager
def streaming(sender: Sender, folder: Path) -> Iterator[None]:
    """Send a series ten times a second, while requests are sent."""
    is_over = threading.Event()

    def send() -> None:
        while not is_over.wait(0.1):
            sender.send(*series(str(folder / "stream.h5"), 5))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def main() -> int:
    """Start a service, send requests, print the answers."""
    from tests.conftest import pick_port
    from tests.system.conftest import Programs

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    count = parser.parse_args().count
    port, begun_s = pick_port(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="srx-fuzz-") as folder:
        programs = Programs(Path(folder))
        with contextlib.closing(programs), sender_on(port) as sender:
            service = programs.service({"dcu_port_purple": port, **UNLIMITED})
            fuzz = HttpFuzz(service.url, programs.data)
            try:
                with contextlib.closing(fuzz), streaming(sender, programs.data):
                    run(fuzz, count)
            except BaseException:
                print(service.log.read_text(errors="replace")[-5000:])
                raise
            is_alive = service.answers("/readyz")
            traces = service.log.read_text(errors="replace").count("Traceback")
    print("\n".join(table(fuzz.statuses)))
    print(f"{fuzz.statuses.total():,} requests, {len(fuzz.defects)} defects,", end=" ")
    print(f"{traces} tracebacks, {time.monotonic() - begun_s:.0f} s")
    print("\n".join(sorted(set(fuzz.defects))[:20]))
    return 0 if is_alive and not fuzz.defects and not traces else 1


UNLIMITED: dict[str, Any] = {"api_rate": None, "keep_free": None}
"""Keys of the service that let one client ask as often as it likes."""

if __name__ == "__main__":
    sys.exit(main())
