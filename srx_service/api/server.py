"""The HTTP server: uvicorn, its socket bound beforehand, its signals left alone."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from srx_service.api.connections import Untaken, bounded
from srx_service.api.limits import Limits
from srx_service.api.problems import problem
from srx_service.errors import ConfigError

BACKLOG = 128
"""Connections the kernel keeps waiting."""
MAX_LIVE_MESSAGE_BYTES = 4 << 10
"""A live view has nothing to say."""
KEEP_ALIVE_S = 30
"""An idle connection stays open for so long: polling clients reuse theirs."""
SHUTDOWN_S = 2
"""Given to open requests when the server ends; a stuck viewer is cut off then."""
CUT_OFF_S = 0.5
"""Given to what was cut off, to say so."""


class Server(uvicorn.Server):
    """uvicorn for one socket; whoever runs it owns the signals.

    `run()` blocks until `should_exit` is set, which any thread may do. `started` is
    true once requests are answered.
    """

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config)
        self._listener = listener
        self._untaken = Untaken()
        self.port: int = listener.getsockname()[1]
        """The port bound, also when 0 was asked for."""
        self.on_beat: Callable[[], None] = lambda: None
        """Called ten times a second, by the thread that answers requests."""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit` is set."""
        with self._listener:
            super().run(sockets or [self._listener])

    async def on_tick(self, counter: int) -> bool:
        """Let who watches know that this thread lives; look after slow clients."""
        self.on_beat()
        self._untaken.bound(self.server_state.connections)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End within `SHUTDOWN_S`, whoever does not."""
        await super().shutdown(sockets)
        if cut_off := list(self.server_state.tasks):
            await asyncio.wait(cut_off, timeout=CUT_OFF_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # a viewer that never reads
        await asyncio.sleep(0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service, which has a file to close first."""
        yield


def serve(
    app: FastAPI,
    host: str,
    port: int,
    *,
    limits: Limits | None = None,
    log_level: str | int = "error",
) -> Server:
    """Bind the socket and return the server, still to be run.

    Args:
        app: What to serve.
        host: An address of this machine; "0.0.0.0" for all.
        port: 0 for any free one.
        limits: Of connections; None: the usual ones.
        log_level: Of uvicorn's own loggers. It warns of each request that is no HTTP:
            whoever sends many could fill the disk with its log.

    Raises:
        ConfigError: The address or port cannot be had.
    """
    config = uvicorn.Config(
        functools.partial(_answered, app),
        host=host,
        port=port,
        interface="asgi3",
        loop="auto",
        http=bounded(limits or Limits()),
        lifespan="off",
        log_config=None,
        log_level=log_level,
        access_log=False,  # clients poll /status at 20 Hz and more
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        ws_max_size=MAX_LIVE_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # 16 MB a frame would hold up the event loop
    )
    return Server(config, _bind(host, port))


async def _answered(app: FastAPI, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await app(scope, receive, send)
    except asyncio.CancelledError:
        # Only uvicorn cancels, when it ends and this request does not.
        if scope["type"] == "http":
            text = "the service is ending; ask again when it is back"
            await problem(503, "shutting down", text)(scope, receive, send)
    if scope["type"] == "websocket":
        # Until the connection is gone uvicorn takes a refusal for no answer, and says
        # so in its log for every viewer refused.
        await asyncio.sleep(0)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"api_port: cannot listen on {host} port {port}: {error}; end what uses"
            " that port, or choose another api_host or api_port"
        ) from error
    # Its connections inherit it. asyncio sets it on sockets it makes itself only, and
    # without it each answer waits 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
