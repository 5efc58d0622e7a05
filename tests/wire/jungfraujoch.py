"""Jungfraujoch, message by message: the part and what it means."""

import cbor2
import numpy as np

from srx_service.codecs import bslz4, bszstd
from srx_service.messages import End, Image, Start
from tests.wire.dectris_stream2 import array, dated, message

PIXELS = np.arange(60, dtype=np.int32).reshape(10, 6) % 7 - 2
"""Signed: a pixel below the pedestal is negative."""
MASK = (PIXELS == 3).astype(np.uint32)
DATE = "2025-10-07T14:43:35.200Z"
CONFIG = {
    "arm_date": dated(DATE),
    "series_unique_id": "lyso_17",
    "number_of_images": 30,
    "image_size_x": 6,
    "image_size_y": 10,
    "image_dtype": "int32",
    "error_value": -(2**31),
    "detector_distance": 0.15,
    "file_prefix": "lyso/run17",
    "images_per_file": 1000,
    "magic_number": 0x52320000,
}
METADATA = {**CONFIG, "arm_date": DATE}
USER = '{"user": {"filename": "/data/a.h5"}}'


def start(**fields) -> list[bytes]:
    return message(type="start", series_id=14, **{**CONFIG, **fields})


def _start(**fields) -> Start:
    shared = {"number": -1, "announced": 30, "metadata": METADATA}
    return Start(series=14, **{**shared, **fields})


STARTS = {
    "start": (start(), _start()),
    "run number alone": (
        message(type="start", series_id=14),
        Start(series=14, number=-1),
    ),
    "mask and flatfield": (
        start(
            pixel_mask={"default": array(MASK, 70)},
            flatfield={"default": array(MASK.astype(np.float32), 85)},
        ),
        _start(tables={"pixel_mask": MASK, "flatfield": MASK.astype(np.float32)}),
    ),
    "user_data": (
        start(user_data=USER),
        _start(filename="/data/a.h5", appendix=USER.encode()),
    ),
}

SPOTS = [{"x": 1.5, "y": 2.5, "I": 100.0}, {"x": 4.0, "y": 0.5, "I": 7.0}]
EXTRAS = {"bkg_estimate": 1.25, "spots": SPOTS, "spot_count": 2}


def image(data, **fields) -> list[bytes]:
    shared = {"image_id": 7, "bkg_estimate": 1.25, "spots": SPOTS}
    return message(type="image", series_id=14, **{**shared, **fields}, data=data)


def _image(encoding: str, blob: bytes, **fields) -> Image:
    shared = {"shape": (10, 6), "dtype": "int32", "extras": EXTRAS}
    place = {"series": 14, "number": 7, "frame": 7}
    return Image(**place, **{**shared, **fields}, encoding=encoding, blobs=(blob,))


def _plain(tag: int, code: str, name: str):
    pixels = PIXELS.astype(code)
    sent = image({"default": array(pixels, tag)})
    return sent, _image("none", pixels.tobytes(), dtype=name)


def _packed(algorithm: str, pixels: np.ndarray, tag: int, name: str):
    blob = (bslz4 if algorithm == "bslz4" else bszstd).compress(pixels)
    packed = (algorithm, pixels.itemsize, blob)
    sent = image({"default": array(pixels, tag, packed=packed)})
    return sent, _image(algorithm, blob, dtype=name)


PLAIN = PIXELS.tobytes()
SHORT = PIXELS.astype(np.int16)

IMAGES = {
    "int16": _plain(77, "<i2", "int16"),
    "int32": _plain(78, "<i4", "int32"),
    "uint32": _plain(70, "<u4", "uint32"),
    "bslz4": _packed("bslz4", PIXELS, 78, "int32"),
    "bslz4 of int16": _packed("bslz4", SHORT, 77, "int16"),
    "bszstd": _packed("bszstd", PIXELS, 78, "int32"),
    "no spots found": (
        image({"default": array(PIXELS, 78)}, spots=[]),
        _image("none", PLAIN, extras={**EXTRAS, "spots": [], "spot_count": 0}),
    ),
    "another channel": (
        image({"threshold_1": array(PIXELS, 78)}),
        _image("none", PLAIN, extras={**EXTRAS, "channels": ["threshold_1"]}),
    ),
    "user_data": (
        image({"default": array(PIXELS, 78)}, user_data="23 C"),
        _image("none", PLAIN, extras={**EXTRAS, "image_appendix": b"23 C"}),
    ),
}
ENDS = {"end": (message(type="end", series_id=14), End(series=14))}
"""By name: (parts, message)."""

IGNORED = {
    "calibration": message(type="calibration", data={"pedestal": array(PIXELS, 78)}),
    "metadata": message(type="metadata", series_id=14, images=[{"image_id": 7}]),
}
"""By kind: known, and nothing for the line."""


def old(**fields) -> list[bytes]:
    """Return a message of 2023: nothing tells that it is CBOR."""
    return [cbor2.dumps(fields)]


OLD_START = old(type="start", image_size_x=6, image_size_y=10, image_dtype="int32")
OLD_END = old(type="end")


def old_image(blob: bytes, **fields) -> list[bytes]:
    shared = {"file_number": 0, "image_number": 7, "spots": [1.5, 2.5, 100.0]}
    return old(type="image", data=blob, **{**shared, **fields})
