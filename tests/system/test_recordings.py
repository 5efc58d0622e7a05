"""Recordings of real detectors, replayed by `srx replay` through the whole service.

What is expected is read from the recording by other people's code.
"""

import io
import json
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cbor2
import numpy as np
import pytest

from tests.system.outcome import (
    client_of,
    last_frame,
    opened,
    receive_series,
    same,
    unpack,
    wait_for_file,
)
from tests.wire import recorded


class Expected(NamedTuple):
    """What a recording holds."""

    pixels: np.ndarray
    frames: list[int]
    metadata: dict[str, Any]
    """What the header says; a file and a header sent on may say more."""
    columns: dict[str, np.ndarray]
    """Per-frame values by the name of their dataset."""
    tables: dict[str, np.ndarray]
    """Arrays that came with the header."""


class Recording(NamedTuple):
    """A file, how it is received, and what has to come out."""

    file: str
    entry: dict[str, Any]
    options: tuple[str, ...]
    """Of `srx replay`."""
    read: Callable[[Path], Expected]


def read_eiger(path: Path) -> Expected:
    header, *images = recorded.messages(path)
    described = {header[k]: (header[k], header[k + 1]) for k in (2, 4, 6)}
    flatfield, mask, countrate = (_table(*pair) for pair in described.values())
    told = [[json.loads(parts[k]) for k in (0, 1, 3)] for parts in images]
    return Expected(
        pixels=np.stack(
            [
                unpack(
                    parts[2], kind["shape"][::-1], np.dtype(kind["type"]), kind_of(kind)
                )
                for parts, (_, kind, _) in zip(images, told, strict=True)
            ]
        ),
        frames=[first["frame"] for first, _, _ in told],
        metadata=json.loads(header[1]),
        columns={
            name: np.array([times[name] for *_, times in told])
            for name in ("start_time", "stop_time", "real_time")
        },
        tables={
            "flatfield": flatfield,
            "pixel_mask": mask,
            "countrate_table": countrate.reshape(-1, 2),
        },
    )


def kind_of(part: dict[str, Any]) -> str:
    return "bslz4" if part["encoding"].startswith("bs") else "none"


def _table(head: bytes, blob: bytes) -> np.ndarray:
    told = json.loads(head)
    return np.frombuffer(blob, told["type"]).reshape(told["shape"][::-1])


def read_stins(path: Path) -> Expected:
    header, *images, _ = recorded.messages(path)
    heads = [json.loads(parts[0]) for parts in images]
    columns = {
        "exposure_time": [head.get("exposure_time") for head in heads],
        "timestamps_dcu": [head.get("timestamps", {}).get("dcu") for head in heads],
    }
    return Expected(
        pixels=np.stack(
            [
                unpack(blob, head["shape"], np.dtype(head["type"]), head["compression"])
                for head, (_, blob) in zip(heads, images, strict=True)
            ]
        ),
        frames=[head["frame"] for head in heads],
        metadata=json.loads(header[1]),
        columns={k: np.array(v) for k, v in columns.items() if None not in v},
        tables={},
    )


def read_stream2(path: Path) -> Expected:
    start, *images, _ = (cbor2.loads(parts[0][3:]) for parts in pickled(path))
    [channel] = start["channels"]
    countrate = start["countrate_correction_lookup_table"]
    packed = [array(image["data"][channel]) for image in images]
    return Expected(
        pixels=np.stack(packed),
        frames=[image["image_id"] for image in images],
        metadata={key: start[key] for key in PLAIN & start.keys()},
        columns={
            name: np.array([image[name] for image in images])
            for name in ("start_time", "stop_time", "real_time")
        },
        tables={
            "flatfield": array(start["flatfield"][channel]),
            "pixel_mask": array(start["pixel_mask"][channel]),
            "countrate_table": np.frombuffer(countrate.value, TYPES[countrate.tag]),
        },
    )


PLAIN = {
    "series_unique_id",
    "channels",
    "count_time",
    "countrate_correction_enabled",
    "detector_description",
    "detector_serial_number",
    "detector_translation",
    "flatfield_enabled",
    "frame_time",
    "incident_energy",
    "number_of_images",
    "saturation_value",
    "sensor_material",
    "threshold_energy",
}
"""Keys of a stream v2 start that are not user_data, tables or times."""
TYPES = {70: "<u4", 85: "<f4"}
"""Typed arrays by their CBOR tag (RFC 8746)."""


def array(tag: cbor2.CBORTag) -> np.ndarray:
    """Return what tag 40 holds: shape and typed array, packed (tag 56500) or plain."""
    shape, typed = tag.value
    dtype = np.dtype(TYPES[typed.tag])
    if isinstance(typed.value, bytes):
        return np.frombuffer(typed.value, dtype).reshape(shape)
    encoding, _, blob = typed.value.value
    return unpack(blob, shape, dtype, encoding)


def pickled(path: Path) -> Iterator[list[bytes]]:
    """Yield the messages of a zip of pickled lists of bytes; nothing else is read."""
    with zipfile.ZipFile(path) as archive:
        raw = archive.read(archive.namelist()[0])
    names = {opcode.name for opcode, *_ in pickletools.genops(raw)}
    assert not names & {"GLOBAL", "STACK_GLOBAL", "REDUCE"}
    stream = io.BytesIO(raw)
    while stream.tell() < len(raw):
        yield pickle.load(stream)


def read_xspress3(path: Path) -> Expected:
    header, *images = (part for parts in recorded.messages(path) for part in parts)
    while not header.startswith(b"{"):  # some begin with what is no message at all
        header, *images = images
    images = images[: len(images) // 3 * 3]
    heads = [json.loads(head) for head in images[::3]]
    counts = [OnlyArrays(io.BytesIO(part)).load() for part in images[2::3]]
    told = json.loads(header)
    names = told.get("extra_tags", SCALARS)
    return Expected(
        pixels=np.stack(
            [
                unpack(blob, head["shape"], np.dtype(head["type"]), "none")
                for head, blob in zip(heads, images[1::3], strict=True)
            ]
        ),
        frames=[head["frame"] for head in heads],
        metadata={k: told[k] for k in told.keys() - {"htype", "filename"}},
        columns={
            name: np.array([row[k] for row in counts]) for k, name in enumerate(names)
        },
        tables={},
    )


SCALARS = (
    "output_count_rate",
    "all_events",
    "all_good",
    "clock_ticks",
    "total_ticks",
    "reset_ticks",
    "event_width",
    "dead_time_correction",
)


class OnlyArrays(pickle.Unpickler):
    """Reads lists of numpy arrays and refuses all else."""

    def find_class(self, module, name):
        assert (module, name) in {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }
        return getattr(np._core.multiarray if name == "_reconstruct" else np, name)


XSPRESS3 = {"class": "Xspress3"}  # a SUB socket, so the recording has to be published
RECORDINGS = [
    Recording("stream2.zip", {"class": "DectrisStream2"}, (), read_stream2),
    Recording("xspress3-multipart.cbors", XSPRESS3, ("--pub",), read_xspress3),
    Recording("xspress3-dump.cbors", XSPRESS3, ("--pub",), read_xspress3),
    Recording(
        "eiger_legacy_dump.zip", {"class": "Eiger", "nworkers": 4}, (), read_eiger
    ),
    Recording("nanomax-eiger1m-forwarded.cbors", {}, (), read_stins),
    Recording("danmax-orca.cbors", {}, (), read_stins),
]


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda case: case.file)
def test_a_recording_comes_out_pixel_for_pixel(
    recording, recordings, programs, free_port
):
    expected = recording.read(recordings / recording.file)
    file, dataset = programs.data / "again.h5", "/entry/instrument/detector/data"
    entry = {"dcu_port_purple": free_port, "dset_name": dataset, **recording.entry}
    service = programs.service(entry)
    with client_of(service) as client:
        words = ["replay", str(recordings / recording.file), "--port", str(free_port)]
        words += ["--filename", str(file), "--end", *recording.options]
        programs.start("replay", ["srx_service", *words])
        sent_on = receive_series(client)
    told = wait_for_file(service, file)
    check_counts(told, expected)
    check_file(file, dataset, expected)
    check_sent_on(sent_on, file, expected)
    assert same(last_frame(service), expected.pixels[-1])


def check_counts(told, expected):
    count = len(expected.frames)
    assert {name: n for name, n in told["counts"].items() if n} == {
        "received": count,
        "written": count,
    }


def check_file(file, dataset, expected):
    with opened(file, dataset) as (images, group):
        assert same(images[:], expected.pixels)
        assert list(group["sequence_number"]) == expected.frames
        header = json.loads(group["header_json"][()])
        assert {key: header[key] for key in expected.metadata} == expected.metadata
        for name, column in expected.columns.items():
            found = group[name].asstr() if column.dtype.kind == "U" else group[name]
            assert np.array_equal(found[:], column), name
        for name, table in expected.tables.items():
            assert same(group[name][:], table), name


def check_sent_on(series, file, expected):
    assert series.header["filename"] == str(file)
    said = series.metadata or {}
    assert {key: said[key] for key in expected.metadata} == expected.metadata
    assert [image["frame"] for image in series.images] == expected.frames
    assert same(np.stack(series.pixels), expected.pixels)
    assert series.end["msg_number"] == len(expected.frames) + 1
