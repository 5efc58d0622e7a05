"""The modules of a Lambda put where they are: one image in place of four.

Source: what live processing does at MAX IV (github.com/maxiv-science/DanMAX_jupyter_scripts,
offlineAzint/_pipeline.py): a module is turned clockwise by `rotation` degrees, and its
first pixel then comes to row y and column x of an image of `full_shape`.
"""  # noqa: E501 - an address

import math
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from srx_service import codecs
from srx_service.codecs.fields import MAX_PIXELS, masked_value
from srx_service.codecs.geometry import GEOMETRY, Place, places_in
from srx_service.errors import ProtocolError
from srx_service.messages import Image, Start, extras_of

MAX_SPREAD = 16
"""So many times the pixels of all modules a whole image may have; more is taken for a
broken header, before anything is allocated."""


@dataclass(frozen=True, slots=True)
class Assemble:
    """Makes an image (y, x) of one that is (module, y, x), packed as that came.

    Pixels that no module covers are masked: 2^n-1 where there is no sign, -1 where
    there is one, NaN in floats. Where modules overlap, the later one is seen.
    """

    def apply(self, image: Image, start: Start | None) -> Image:
        """Return the image assembled; x, y, rotation and full_shape are its own.

        Raises:
            ProtocolError: Its geometry is missing or does not fit, or its pixels cannot
                be read; it carries series and number.
        """
        extras = extras_of(image)
        try:
            pixels = _whole(image, extras)
            blob = codecs.encode(pixels, image.encoding)
        except ValueError as error:
            place = {"series": image.series, "number": image.number}
            raise ProtocolError("cannot be assembled", str(error), **place) from error
        rest = {key: value for key, value in extras.items() if key not in GEOMETRY}
        return replace(image, shape=pixels.shape, blobs=(blob,), extras=rest)


def _whole(image: Image, extras: dict[str, object]) -> np.ndarray:
    if len(image.shape) != 3:
        raise ValueError(f"shape {image.shape}; (modules, y, x) is needed")
    places = places_in(extras, image.shape[0])
    shape, count = places[0].full_shape, math.prod(image.shape)
    if math.prod(shape) > min(MAX_PIXELS, MAX_SPREAD * count):
        text = f"at most {MAX_SPREAD} times its pixels are allowed"
        raise ValueError(f"full_shape {shape} of modules {image.shape}, {text}")
    modules = codecs.decode(image)
    whole = np.full(shape, masked_value(modules.dtype), modules.dtype)
    for module, place in zip(modules, places, strict=True):
        _put(whole, module, place)
    return whole


def _put(whole: np.ndarray, module: np.ndarray, place: Place) -> None:
    if place.rotation % 90:
        text = f"rotation {place.rotation}; multiples of 90 degrees are known"
        raise ValueError(text)
    turned = np.rot90(module, -place.rotation // 90)
    (rows, columns), (y, x) = turned.shape, (place.y, place.x)
    if y < 0 or x < 0 or y + rows > whole.shape[0] or x + columns > whole.shape[1]:
        text = f"a module of {turned.shape} at row {y}, column {x}"
        raise ValueError(f"{text} is not within full_shape {whole.shape}")
    whole[y : y + rows, x : x + columns] = turned
