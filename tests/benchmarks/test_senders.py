import struct
import subprocess

import pytest

from benchmarks import senders
from benchmarks.rows import ROWS
from benchmarks.senders import INDEX, DectrisSender
from srx_service.protocols import DECODERS

STREAMS = {row.stream: row for row in ROWS if row.stream != "Detector"}


def parts_in(text):
    """Split a message as prebuilt.c does."""
    while text:
        (size,) = struct.unpack_from("=Q", text)
        yield text[8 : 8 + size]
        text = text[8 + size :]


@pytest.fixture
def pushed(tmp_path, monkeypatch):
    """Return the words that a sender is told, and the messages in the files named."""

    def push(row):
        told = []
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: None)
        monkeypatch.setattr(DectrisSender, "_say", lambda _, words: told.extend(words))
        image = tmp_path / "image"
        image.write_bytes(bytes(12) + b"pixels")
        DectrisSender(row, tmp_path, 1, image).push(3, "/data/a.h5")
        return told, [list(parts_in(path.read_bytes())) for path in told[1:4]]

    return push


@pytest.mark.parametrize("stream", STREAMS)
def test_what_is_sent_is_what_the_service_decodes(stream, pushed):
    told, messages = pushed(STREAMS[stream])
    offset, kind = told[4:]
    first = bytearray(messages[1][0])
    number = b"%10d" % 2 if kind == "text" else struct.pack(">I", 2)
    first[offset : offset + len(number)] = number
    messages[1][0] = bytes(first)
    decode = DECODERS[stream]().decode
    start, image, end = (message for parts in messages for message in decode(parts))
    assert start.filename == "/data/a.h5"
    assert start.announced == 3
    assert (image.number, image.frame, image.shape) == (2, 2, (1065, 1030))
    assert bytes(image.blobs[0]).endswith(b"pixels")
    assert start.series == image.series == end.series


def test_the_place_of_the_index_is_found_in_text_and_in_cbor():
    assert senders.place_of_index(b'{"frame": %d}' % INDEX) == (10, "text")
    assert senders.place_of_index(b"\x1a" + struct.pack(">I", INDEX)) == (1, "cbor")


@pytest.mark.parametrize("part", [b"{}", b"%d %d" % (INDEX, INDEX)])
def test_a_place_that_is_not_clear_is_refused(part):
    with pytest.raises(ValueError, match="the index"):
        senders.place_of_index(part)


def test_without_a_compiler_it_is_told_what_is_needed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(senders.CannotBuild, match=r"a C compiler.*libzmq3-dev"):
        senders.build(tmp_path)
