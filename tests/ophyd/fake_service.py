"""The service's HTTP interface without a line: frames come when a test says so.

A real server on a port of its own, because what is tested is what goes over the wire:
connections that break, answers that stay out, long polls.
"""

import asyncio
import contextlib
import itertools
import socket
import threading
from typing import Annotated, Any, Self

import uvicorn
from fastapi import APIRouter, Body, Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse

COUNTS = ("received", "written", "missing", "rejected", "rewound", "stale", "unsaved")
COUNTS += ("surplus",)
OVER = ("done", "failed", "aborted", "interrupted")


class Refusal(Exception):
    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = {"status": status, "title": title, "detail": detail}


class FakeService:
    """Everything a test may want to see or break is a plain attribute."""

    def __init__(self) -> None:
        self.acquisitions: list[dict[str, Any]] = []
        self.frames: dict[str, list[Any]] = {}
        """By acquisition: what `send` was given; the file, so to speak."""
        self.files: set[str] = set()
        """There before anything was armed."""
        self.refusals: dict[str, tuple[int, str, str]] = {}
        """By request ("arm", "get", "patch", "stop", "abort", "rewind")."""
        self.requests: list[tuple[str, Any]] = []
        self.silent = threading.Event()
        """While set, nothing is answered."""
        self.delay_s = 0.0
        """How long every answer takes."""
        self.loses: set[str] = set()
        """Requests that are carried out, but whose answers never come."""
        self.sees_series = True
        """False: the armed series never reaches the service."""
        self.version: str | None = "1.2.3"
        self.has_status = self.has_v1 = True
        """False: 404 to /status; to /api/v1/detector and the list of acquisitions."""
        self.shown: dict[str, Any] | None = None
        """The last frame; None: what was sent last, as long as it is in the file."""
        self.columns = {
            name: f"/entry/instrument/eiger/{name}"
            for name in ("timestamp", "sequence_number")
        }
        self._numbers = itertools.count(1)
        self._changed: set[asyncio.Event] = set()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def current(self) -> dict[str, Any]:
        return self.acquisitions[-1]

    @property
    def states(self) -> list[str]:
        return [one["state"] for one in self.acquisitions]

    @property
    def rows(self) -> list[Any]:
        """What the file of the current acquisition holds."""
        return self.frames[self.current["id"]]

    def __enter__(self) -> Self:
        config = uvicorn.Config(
            create_app(self), log_level="critical", lifespan="off", ws="none"
        )
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="fake-service"
        )
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.001)
        return self

    def __exit__(self, *_: object) -> None:
        self.silent.clear()
        self.loses.clear()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = self._server.force_exit = True
            self.notify()
            self._thread.join()
            for server in self._server.servers:
                server.close()

    def die(self) -> None:
        """Be gone from one moment to the next; `__enter__` starts it again."""
        server = self._server
        assert server is not None

        def cut() -> None:
            server.servers[0].close()
            for connection in tuple(server.server_state.connections):
                connection.transport.abort()  # type: ignore[union-attr]

        server.servers[0].get_loop().call_soon_threadsafe(cut)
        self.__exit__()

    def send(self, *frames: Any, missing: int = 0) -> None:
        """Frames become durable rows, after `missing` ones that never came."""
        one = self.current
        if one["state"] in OVER:
            return
        if one["expected"] is not None:
            room = max(0, one["expected"] - len(self.rows) - missing)
            one["counts"]["surplus"] += len(frames[room:])
            frames = frames[:room]
        rows = len(self.rows)
        one["holes"] += range(rows, rows + missing)
        self.frames[one["id"]] += [None] * missing + list(frames)
        one["counts"]["received"] += len(frames)
        one["counts"]["written"] += len(frames)
        one["counts"]["missing"] += missing
        one["rows"] = len(self.rows)
        one["state"] = "running"
        self.notify()

    def begin_series(self, series_id: int) -> None:
        if self.acquisitions and self.sees_series:
            self.current["series_id"] = series_id
            self.notify()

    def fail(self, error: str) -> None:
        self.current.update(state="failed", error=error)
        self.notify()

    def notify(self) -> None:
        for event in tuple(self._changed):
            loop: Any = event.loop  # type: ignore[attr-defined]
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)

    async def after(self, what: str) -> None:
        while what in self.loses:  # noqa: ASYNC110  another thread clears it
            await asyncio.sleep(0.01)

    async def answer(self, what: str, details: Any = None) -> None:
        """Note a request; refuse it, or keep it waiting, as the test wants."""
        self.requests.append((what, details))
        await asyncio.sleep(self.delay_s)
        while self.silent.is_set():  # noqa: ASYNC110  another thread clears it
            await asyncio.sleep(0.01)
        if what in self.refusals:
            raise Refusal(*self.refusals[what])

    def find(self, identifier: str) -> dict[str, Any]:
        for one in self.acquisitions:
            if one["id"] == identifier:
                return one
        raise Refusal(404, "unknown acquisition", f"no acquisition {identifier!r}")

    def arm(self, request: dict[str, Any]) -> dict[str, Any]:
        for one in self.acquisitions:
            if one["state"] not in OVER:
                text = f"acquisition {one['id']} is {one['state']}, file {one['file']}"
                raise Refusal(409, "busy", text)
        if request["file"] in self.files:
            text = f"{request['file']} exists and is never overwritten; choose another"
            raise Refusal(409, "file exists", text)
        number = next(self._numbers)
        self.acquisitions.append(
            {
                "id": f"acq{number}",
                "origin": "api",
                "state": "armed",
                "error": None,
                "file": request["file"],
                "dataset": "/entry/instrument/eiger/data",
                "shape": request["shape"],
                "dtype": request["dtype"],
                "chunk": None,
                "columns": self.columns,
                "series": request["series"],
                "series_id": None,
                "expected": request.get("expected"),
                "rows": 0,
                "holes": [],
                "counts": dict.fromkeys(COUNTS, 0),
                "lease_s": request["lease_s"],
                "metadata": request["metadata"],
            }
        )
        self.frames[self.current["id"]] = []
        return self.current

    def rewind(self, one: dict[str, Any], rows: int) -> None:
        frames = self.frames[one["id"]]
        gone = frames[rows:]
        one["counts"]["missing"] -= gone.count(None)
        one["counts"]["rewound"] += len(gone) - gone.count(None)
        del frames[rows:]
        one["holes"] = [row for row in one["holes"] if row < rows]
        one["rows"] = rows
        one["series_id"] = None

    def latest(self) -> dict[str, Any]:
        """Its pixels sum up to 1000 and the row."""
        if self.shown is not None:
            return self.shown
        row = len(self.rows) - 1
        return {
            "acquisition": self.current["id"],
            "row": row,
            "total_counts": 1000 + row,
        }

    async def summed(self) -> dict[str, Any]:
        try:
            await self.answer("total")
        except Refusal as refusal:
            return {"error": refusal.problem["title"]}
        return self.latest()

    async def wait_for(self, one: dict[str, Any], rows: int, timeout_s: float) -> None:
        event: Any = asyncio.Event()
        event.loop = asyncio.get_running_loop()
        self._changed.add(event)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    while one["rows"] < rows and one["state"] not in OVER:
                        await event.wait()
                        event.clear()
        finally:
            self._changed.discard(event)


def _service(request: Request) -> FakeService:
    return request.app.state.service


Service = Annotated[FakeService, Depends(_service)]
router = APIRouter()


def create_app(service: FakeService) -> FastAPI:
    app = FastAPI()
    app.state.service = service
    app.include_router(router)
    app.add_exception_handler(Refusal, _refuse)
    return app


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    problem = error.problem
    media_type = "application/problem+json"
    return JSONResponse(problem, problem["status"], media_type=media_type)


@router.get("/readyz")
async def readyz(service: Service) -> dict[str, bool]:
    await service.answer("ready")
    return {"ready": True}


@router.get("/status")
async def status(service: Service) -> dict[str, Any]:
    if not service.has_status:
        raise Refusal(404, "Not Found", "there is no such path")
    version = {} if service.version is None else {"version": service.version}
    return {"state": "idle"} | version


@router.get("/api/v1/detector")
async def detector(service: Service) -> dict[str, Any]:
    if not service.has_v1:
        raise Refusal(404, "Not Found", "there is no such path")
    return {"name": "test", "class": "Eiger"}


@router.get("/api/v1/acquisitions")
async def acquisitions(service: Service) -> dict[str, Any]:
    await service.answer("list")
    if not service.has_v1:
        raise Refusal(404, "Not Found", "there is no such path")
    return {"acquisitions": service.acquisitions[::-1]}


@router.post("/api/v1/acquisitions", status_code=201)
async def arm(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    await service.answer("arm", request)
    armed = service.arm(request)
    await service.after("arm")
    return armed


@router.get("/api/v1/acquisitions/{id}")
async def acquisition(
    service: Service,
    id: str,
    wait_frames: int | None = None,
    timeout_s: Annotated[float, Query(alias="timeout")] = 0.0,
    total: bool = False,
) -> dict[str, Any]:
    await service.answer("get", wait_frames)
    one = service.find(id)
    if wait_frames is not None:
        await service.wait_for(one, wait_frames, timeout_s)
        if total and one["rows"] >= wait_frames:
            return one | {"last_frame": await service.summed()}
    return one


@router.patch("/api/v1/acquisitions/{id}")
async def patch(service: Service, id: str, changes: dict[str, Any]) -> dict[str, Any]:
    await service.answer("patch", changes)
    one = service.find(id)
    if one["state"] in OVER:
        raise Refusal(409, "over", f"acquisition {id} is {one['state']} already")
    one["expected"] = changes.get("expected", one["expected"])
    return one


@router.post("/api/v1/acquisitions/{id}/{command}")
async def command(
    service: Service,
    id: str,
    command: str,
    body: Annotated[dict[str, Any] | None, Body()] = None,
) -> dict[str, Any]:
    await service.answer(command, body)
    one = service.find(id)
    if body is not None:
        service.rewind(one, body["rows"])
    else:
        one["state"] = {"stop": "done", "abort": "aborted"}[command]
    service.notify()
    return one
