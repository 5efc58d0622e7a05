"""One viewer, its socket only pretended."""

import asyncio
import contextlib
import json

import numpy as np
import pytest
from fastapi import WebSocketDisconnect

from srx_service.api import view as module
from srx_service.api.view import PROTOCOL, Viewer, view
from srx_service.api.viewing import Views
from srx_service.latest import Latest
from tests.service.api.fakes import FakeLine
from tests.service.api.test_viewing import put

PATIENCE_S = 30.0


class FakeSocket:
    """Keeps what is sent; brings what the viewer sends."""

    def __init__(self, *protocols):
        self.scope = {"subprotocols": list(protocols)}
        self.pictures, self.texts = [], []
        self.accepted = None
        self.incoming = asyncio.Queue()
        self.takes = asyncio.Event()
        self.takes.set()
        self.is_gone = False

    async def accept(self, protocol):
        self.accepted = protocol

    async def receive(self):
        return await self.incoming.get()

    async def send_text(self, text):
        self.texts.append(json.loads(text))

    async def send_bytes(self, message):
        await self.takes.wait()
        if self.is_gone:
            raise WebSocketDisconnect
        length = int.from_bytes(message[:4], "little")
        self.pictures.append(json.loads(message[4 : 4 + length]))

    def say(self, **wish):
        self.incoming.put_nowait(
            {"type": "websocket.receive", "text": json.dumps(wish)}
        )

    def leave(self):
        self.incoming.put_nowait({"type": "websocket.disconnect"})

    async def sees(self, count):
        """Wait for so many pictures in all; return the last."""
        await until(lambda: len(self.pictures) >= count)
        return self.pictures[-1]


async def until(claim):
    async with asyncio.timeout(PATIENCE_S):
        while not claim():  # noqa: ASYNC110 - of what no event tells
            await asyncio.sleep(0.005)


class Page:
    """A viewer of a line that only pretends."""

    def __init__(self, *protocols):
        self.latest = Latest()
        self.views = Views(FakeLine(), self.latest)
        self.socket = FakeSocket(*protocols)

    def show(self, value):
        put(self.latest, np.full((4, 5), value, "uint8"))

    @contextlib.asynccontextmanager
    async def watching(self):
        task = asyncio.create_task(view(self.socket, self.views))
        try:
            yield self.socket
        finally:
            self.socket.leave()
            await asyncio.wait_for(task, PATIENCE_S)


def test_it_sees_the_last_frame_and_each_that_follows():
    async def run():
        page = Page()
        page.show(1)
        async with page.watching() as socket:
            assert (await socket.sees(1))["serial"] == 1
            page.show(2)
            assert (await socket.sees(2))["serial"] == 2
        return page

    assert asyncio.run(run()).views._viewers == 0


def test_the_protocol_is_accepted_where_it_is_offered():
    async def accepted(*protocols):
        async with (page := Page(*protocols)).watching() as socket:
            await until(lambda: socket.texts)
        return page.socket.accepted

    assert asyncio.run(accepted("srx.token.aa", PROTOCOL)) == PROTOCOL
    assert asyncio.run(accepted("srx.token.aa")) is None
    assert asyncio.run(accepted()) is None


def test_what_it_wants_another_way_comes_at_once():
    async def run():
        page = Page()
        page.show(1)
        async with page.watching() as socket:
            socket.say(rate_hz=0.001)
            await socket.sees(1)
            socket.say(cursor=[1, 1])
            await until(lambda: socket.pictures[-1]["cursor"])
            socket.say(region=[0, 0, 2, 2])
            await until(lambda: socket.pictures[-1]["rows"] == 2)

    asyncio.run(run())


def test_the_same_once_more_brings_nothing():
    async def run():
        page = Page()
        page.show(1)
        async with page.watching() as socket:
            socket.say(cursor=[1, 1])
            await until(lambda: socket.pictures and socket.pictures[-1]["cursor"])
            before = len(socket.pictures)
            for _ in range(5):
                socket.say(cursor=[1, 1])
            socket.say(cursor=[2, 2])
            await until(lambda: socket.pictures[-1]["cursor"]["y"] == 2)
            assert len(socket.pictures) == before + 1

    asyncio.run(run())


def test_what_cannot_be_meant_is_told_and_the_view_goes_on():
    async def run():
        page = Page()
        async with page.watching() as socket:
            socket.say(colour="red")
            socket.incoming.put_nowait({"type": "websocket.receive", "bytes": b"\0"})
            await until(lambda: sum("error" in text for text in socket.texts) == 2)
            page.show(1)
            await socket.sees(1)
        return [text["error"] for text in socket.texts if "error" in text]

    unknown, no_text = asyncio.run(run())
    assert "`colour`" in unknown
    assert "JSON" in no_text


def test_paused_it_sees_no_new_frame_but_the_old_one_another_way():
    async def run():
        page = Page()
        page.show(1)
        async with page.watching() as socket:
            await socket.sees(1)
            socket.say(paused=True, scale="log", rate_hz=20)
            await socket.sees(2)
            page.show(2)
            await asyncio.sleep(0.3)
            assert {picture["serial"] for picture in socket.pictures} == {1}
            socket.say(paused=False)
            await until(lambda: socket.pictures[-1]["serial"] == 2)

    asyncio.run(run())


def test_who_takes_nothing_skips_frames():
    async def run():
        page = Page()
        page.show(0)
        async with page.watching() as socket:
            socket.say(rate_hz=20)
            await socket.sees(1)
            socket.takes.clear()
            for value in range(10):
                page.show(value)
                await asyncio.sleep(0.06)
            socket.takes.set()
            await until(lambda: socket.pictures[-1]["serial"] == 11)
            assert len(socket.pictures) < 6

    asyncio.run(run())


def test_reports_come_before_the_first_frame():
    async def run():
        async with Page().watching() as socket:
            await until(lambda: socket.texts)
            assert socket.pictures == []
            return socket.texts[0]

    assert set(asyncio.run(run())) == {"status", "acquisition", "metrics", "time"}


def test_reports_go_on(monkeypatch):
    monkeypatch.setattr(module, "REPORT_S", 0.01)

    async def run():
        async with Page().watching() as socket:
            await until(lambda: len(socket.texts) > 3)

    asyncio.run(run())


def test_who_is_gone_is_not_sent_to():
    async def run():
        page = Page()
        page.socket.is_gone = True
        page.show(1)
        await asyncio.wait_for(view(page.socket, page.views), PATIENCE_S)
        assert page.views._viewers == 0

    asyncio.run(run())


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    async def run():
        page = Page()
        monkeypatch.setattr(Viewer, "_may_see", lambda self: 1 / 0)
        page.show(1)
        with pytest.raises(ZeroDivisionError):
            await view(page.socket, page.views)

    asyncio.run(run())
