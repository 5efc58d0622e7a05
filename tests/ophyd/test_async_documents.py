import asyncio

import pytest
from ophyd_async.core import soft_signal_r_and_setter

from srx_ophyd.async_documents import FramesFile, FramesProvider
from srx_ophyd.documents import FrameLayout

FILE = FramesFile(
    FrameLayout((4, 6), "uint16"),
    "file://localhost/data/a.h5",
    "/entry/data/data",
    (1, 4, 6),
    {"timestamp": "/entry/timestamp"},
)


@pytest.fixture
def provider():
    written, _ = soft_signal_r_and_setter(int)
    names = ("timestamp", "frame_number")
    return FramesProvider("det", "SRX:here", written, names, lambda: FILE)


def keys_of(provider, n):
    return asyncio.run(provider.make_datakeys(n))


def documents_of(provider, frames, n=1):
    async def collect():
        return [one async for one in provider.make_stream_docs(frames, n)]

    return asyncio.run(collect())


@pytest.mark.parametrize(("n", "shape"), [(1, [4, 6]), (3, [3, 4, 6])])
def test_one_frame_an_event_has_no_axis_for_it(provider, n, shape):
    assert keys_of(provider, n)["det"]["shape"] == shape


def test_only_what_the_service_tells_of_has_a_key(provider):
    assert keys_of(provider, 1).keys() == {"det", "det-timestamp"}


def test_a_resource_comes_once_and_before_its_data(provider):
    kinds = [kind for kind, _ in documents_of(provider, 2) + documents_of(provider, 5)]
    assert kinds == [*["stream_resource"] * 2, *["stream_datum"] * 4]


def test_frames_that_were_told_of_are_not_told_of_again(provider):
    documents_of(provider, 2)
    assert documents_of(provider, 2) == []
    (_, first), _ = documents_of(provider, 5)
    assert first["indices"] == {"start": 2, "stop": 5}


def test_events_that_are_not_whole_wait(provider):
    _, _, (_, datum), _ = documents_of(provider, 8, n=3)
    assert datum["indices"] == {"start": 0, "stop": 2}


def test_another_file_has_documents_of_its_own(provider):
    documents_of(provider, 2)
    provider.new_documents()
    (kind, _), *_ = documents_of(provider, 1)
    assert kind == "stream_resource"
