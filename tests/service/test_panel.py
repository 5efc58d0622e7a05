"""Where pixels are: a turned image has each of them where it was."""

import numpy as np
import pytest

from srx_service.nxmx import Told
from srx_service.panel import panel_of

SHAPE = (3, 5)
FOUND = {
    "detector/x_pixel_size": Told(0.5, "m"),
    "detector/y_pixel_size": Told(0.25, "m"),
    "detector/beam_center_x": Told(4.0, "pixel"),
    "detector/beam_center_y": Told(1.0, "pixel"),
}


def places(panel):
    """The centers of all pixels, in metres: (y, x, 3)."""
    y, x = (np.arange(n) + 0.5 for n in panel.shape)
    fast = np.multiply.outer(x * panel.sizes[0], panel.fast)
    slow = np.multiply.outer(y * panel.sizes[1], panel.slow)
    return np.array(panel.origin) + slow[:, None] + fast


def test_the_beam_is_at_the_origin_and_columns_go_to_the_right():
    panel = panel_of(FOUND, SHAPE, 0)
    found = places(panel)
    assert np.allclose(found[0, 0], [4 * 0.5 - 0.25, 0.25 - 0.125, 0])
    assert np.allclose(found[0, 1] - found[0, 0], [-0.5, 0, 0])
    assert np.allclose(found[1, 0] - found[0, 0], [0, -0.25, 0])


@pytest.mark.parametrize("turns", range(-1, 5))
def test_every_pixel_stays_where_it_was(turns):
    before = places(panel_of(FOUND, SHAPE, 0))
    shape = SHAPE if turns % 2 == 0 else SHAPE[::-1]
    turned = panel_of(FOUND, shape, turns)
    assert turned.shape == shape
    assert np.allclose(places(turned), np.rot90(before, turns))


@pytest.mark.parametrize("turns", range(4))
def test_the_beam_center_is_that_of_the_turned_image(turns):
    shape = SHAPE if turns % 2 == 0 else SHAPE[::-1]
    panel = panel_of(FOUND, shape, turns)
    x, y = panel.center
    fast, slow = np.array(panel.fast), np.array(panel.slow)
    hit = panel.origin + fast * x * panel.sizes[0] + slow * y * panel.sizes[1]
    assert np.allclose(hit, 0)


@pytest.mark.parametrize("lacking", ["detector/x_pixel_size", "detector/y_pixel_size"])
def test_without_the_size_of_a_pixel_nothing_is_known(lacking):
    found = {path: told for path, told in FOUND.items() if path != lacking}
    assert panel_of(found, SHAPE, 0) is None


def test_a_beam_center_that_nobody_told_is_the_corner():
    found = {path: told for path, told in FOUND.items() if "center" not in path}
    assert panel_of(found, SHAPE, 0).origin == (0, 0, 0)
