"""DECTRIS stream v2, message by message: the part and what it means."""

import cbor2
import numpy as np

from srx_service.codecs import bslz4, bszstd, lz4
from srx_service.messages import End, Image, Start

PIXELS = np.arange(60, dtype=np.uint32).reshape(10, 6) % 7
FLATFIELD = np.linspace(0.9, 1.1, 60, dtype=np.float32).reshape(10, 6)
MASK = (PIXELS == 3).astype(np.uint32)
COUNTRATE = np.arange(16, dtype=np.uint32)
MAGIC = b"\xd9\xd9\xf7"
ULID = "01HRCJF83SA63WH8M5X1VBKFJM"
DATE = "2024-03-07T14:43:35.200+01:00"

tagged = cbor2.CBORTag


def dated(text=DATE):
    return tagged(0, text)


def message(**fields) -> list[bytes]:
    """Return the message that holds these fields, as a control unit sends it."""
    return [MAGIC + cbor2.dumps(fields)]


def array(pixels, tag: int, *, shape=None, packed: tuple | None = None):
    """Return an array of several axes; `packed`: algorithm, size and bytes."""
    blob = pixels.tobytes() if packed is None else tagged(56500, list(packed))
    return tagged(40, [list(shape or pixels.shape), tagged(tag, blob)])


IDS = {"series_id": 14, "series_unique_id": ULID}
CONFIG = {
    "arm_date": dated(),
    "channels": ["threshold_1"],
    "count_time": 0.5,
    "number_of_images": 30,
    "detector_translation": [0.0, 0.0, 0.25],
    "goniometer": {"omega": {"start": 1.0, "increment": 0.5}},
    "pixel_mask_enabled": True,
    "threshold_energy": {"threshold_1": 4020.5, "threshold_2": 9000.0},
}
METADATA = {
    "count_time": 0.5,
    "pixel_mask_enabled": True,
    "number_of_images": 30,
    "threshold_1": 4020.5,
    "threshold_2": 9000.0,
    **CONFIG,
    "series_unique_id": ULID,
    "arm_date": DATE,
}
BASIC = {"series": 14, "number": -1, "announced": 30}
TWO = ["threshold_1", "threshold_2"]


def start(**fields):
    return message(type="start", **IDS, **{**CONFIG, **fields})


STARTS = {
    "basic": (start(), Start(**BASIC, metadata=METADATA)),
    "ids alone": (
        message(type="start", **IDS),
        Start(series=14, number=-1, metadata={"series_unique_id": ULID}),
    ),
    "user_data": (
        start(user_data='{"filename":"/data/a.h5","rotate":-1}'),
        Start(
            **BASIC,
            filename="/data/a.h5",
            metadata={**METADATA, "rotate": -1},
            appendix=b'{"filename":"/data/a.h5","rotate":-1}',
            rotate=3,
        ),
    ),
    "plain text": (
        start(user_data="scan 17, hot"),
        Start(**BASIC, metadata=METADATA, appendix=b"scan 17, hot"),
    ),
    "all": (
        start(
            flatfield={"threshold_1": array(FLATFIELD, 85)},
            pixel_mask={"threshold_1": array(MASK, 70)},
            countrate_correction_lookup_table=tagged(70, COUNTRATE.tobytes()),
        ),
        Start(
            **BASIC,
            metadata=METADATA,
            tables={
                "flatfield": FLATFIELD,
                "pixel_mask": MASK,
                "countrate_table": COUNTRATE,
            },
        ),
    ),
    "all, two channels": (
        start(
            channels=TWO,
            flatfield={name: array(FLATFIELD, 85) for name in TWO},
            pixel_mask={name: array(MASK, 70) for name in TWO},
        ),
        Start(
            **BASIC,
            metadata={**METADATA, "channels": TWO},
            tables={
                "flatfield_threshold_1": FLATFIELD,
                "flatfield_threshold_2": FLATFIELD,
                "pixel_mask_threshold_1": MASK,
                "pixel_mask_threshold_2": MASK,
            },
        ),
    ),
}
"""By name: (parts, message)."""

TIMES = {
    "start_time": [0, 50_000_000],
    "stop_time": [49_999_377, 50_000_000],
    "real_time": [49_716_627, 50_000_000],
}
EXTRAS = {**TIMES, "series_date": DATE}


def image(data, **fields):
    fields = {"image_id": 7, **TIMES, "series_date": dated(), "data": data, **fields}
    return message(type="image", **IDS, **fields)


def one(pixels, tag: int, **how):
    return image({"threshold_1": array(pixels, tag, **how)})


def _message(encoding: str, *blobs: bytes, **fields) -> Image:
    shared = {"shape": (10, 6), "dtype": "uint32", "extras": EXTRAS}
    place = {"series": 14, "number": 7, "frame": 7}
    return Image(**place, **{**shared, **fields}, encoding=encoding, blobs=blobs)


def _plain(tag: int, code: str, name: str):
    pixels = PIXELS.astype(code)
    return one(pixels, tag), _message("none", pixels.tobytes(), dtype=name)


def _packed(algorithm: str, pixels: np.ndarray, tag: int, name: str):
    codec = {"bslz4": bslz4, "bszstd": bszstd, "lz4": lz4}[algorithm]
    blob = codec.compress(pixels)
    size = 0 if algorithm == "lz4" else pixels.itemsize
    sent = one(pixels, tag, packed=(algorithm, size, blob))
    return sent, _message(algorithm, blob, dtype=name)


PLAIN = PIXELS.tobytes()
BSLZ4 = bslz4.compress(PIXELS)
BYTES = PIXELS.astype(np.uint8)
SHUFFLED = ("bslz4", 4, BSLZ4)

IMAGES = {
    "uint8": _plain(64, "u1", "uint8"),
    "uint16, big-endian": _plain(65, ">u2", ">u2"),
    "uint32, big-endian": _plain(66, ">u4", ">u4"),
    "uint64, big-endian": _plain(67, ">u8", ">u8"),
    "uint16": _plain(69, "<u2", "uint16"),
    "uint32": _plain(70, "<u4", "uint32"),
    "uint64": _plain(71, "<u8", "uint64"),
    "int8": _plain(72, "i1", "int8"),
    "int16, big-endian": _plain(73, ">i2", ">i2"),
    "int32, big-endian": _plain(74, ">i4", ">i4"),
    "int64, big-endian": _plain(75, ">i8", ">i8"),
    "int16": _plain(77, "<i2", "int16"),
    "int32": _plain(78, "<i4", "int32"),
    "int64": _plain(79, "<i8", "int64"),
    "float16, big-endian": _plain(80, ">f2", ">f2"),
    "float32, big-endian": _plain(81, ">f4", ">f4"),
    "float64, big-endian": _plain(82, ">f8", ">f8"),
    "float16": _plain(84, "<f2", "float16"),
    "float32": _plain(85, "<f4", "float32"),
    "float64": _plain(86, "<f8", "float64"),
    "bslz4": _packed("bslz4", PIXELS, 70, "uint32"),
    "bslz4 of bytes": _packed("bslz4", BYTES, 64, "uint8"),
    "bszstd": _packed("bszstd", PIXELS, 70, "uint32"),
    "lz4": _packed("lz4", PIXELS, 70, "uint32"),
    "two channels": (
        image({name: array(PIXELS, 70, packed=SHUFFLED) for name in TWO}),
        _message(
            "bslz4", BSLZ4, BSLZ4, shape=(2, 10, 6), extras={**EXTRAS, "channels": TWO}
        ),
    ),
    "the second threshold and the difference": (
        image({name: array(PIXELS, 70) for name in ("threshold_2", "difference")}),
        _message(
            "none",
            *(PLAIN, PLAIN),
            shape=(2, 10, 6),
            extras={**EXTRAS, "channels": ["threshold_2", "difference"]},
        ),
    ),
    "the difference alone": (
        image({"difference": array(PIXELS, 70)}),
        _message("none", PLAIN, extras={**EXTRAS, "channels": ["difference"]}),
    ),
    "user_data": (
        image({"threshold_1": array(PIXELS, 70)}, user_data="23 C"),
        _message("none", PLAIN, extras={**EXTRAS, "image_appendix": b"23 C"}),
    ),
    "user_data that is no text": (
        image({"threshold_1": array(PIXELS, 70)}, user_data=b"\xff\x00"),
        _message("none", PLAIN, extras={**EXTRAS, "image_appendix": b"\xff\x00"}),
    ),
}
ENDS = {"end": (message(type="end", **IDS), End(series=14))}
"""By name: (parts, message)."""
