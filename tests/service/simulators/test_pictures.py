import numpy as np
import pytest

from srx_service.codecs import bslz4, lz4
from srx_service.simulators import pictures
from srx_service.simulators.pictures import chunks, gaps, packed, picture, pool_length

SMALL = (60, 50)


@pytest.mark.parametrize(
    ("dtype", "masked"),
    [("uint8", 255), ("uint16", 65535), ("uint32", 2**32 - 1), ("int32", -1)],
)
def test_gaps_between_modules_read_as_masked_and_nothing_else_does(dtype, masked):
    pixels = picture(0, SMALL, dtype)
    assert pixels.dtype == dtype
    assert np.array_equal(pixels == masked, gaps(SMALL))


def test_gaps_of_a_float_detector_are_not_a_number():
    assert np.array_equal(np.isnan(picture(0, SMALL, "float32")), gaps(SMALL))


def test_an_eiger_1m_has_its_one_gap_of_37_rows():
    rows = np.flatnonzero(gaps((1065, 1030)).all(axis=1))
    assert rows.tolist() == list(range(514, 551))
    assert gaps((1065, 1030)).sum() == 37 * 1030


def test_frame_k_is_the_same_in_every_process_and_differs_from_its_neighbours():
    first = picture(3, SMALL, "uint16", seed=7).copy()
    pictures.pool.cache_clear()
    assert np.array_equal(picture(3, SMALL, "uint16", seed=7), first)
    assert not np.array_equal(picture(4, SMALL, "uint16", seed=7), first)
    assert not np.array_equal(picture(3, SMALL, "uint16", seed=8), first)


def test_pictures_repeat_after_the_pool():
    again = 3 + pool_length(SMALL, "uint16")
    assert picture(again, SMALL, "uint16") is picture(3, SMALL, "uint16")


def test_a_pool_of_large_pictures_stays_small():
    assert pool_length((2162, 2068), "uint32") == 3


def test_counts_are_poisson_around_rings():
    stack = np.stack([picture(k, (200, 200), "uint16") for k in range(13)]).astype(
        float
    )
    mean, variance = stack.mean(axis=0), stack.var(axis=0, ddof=1)
    counting = ~gaps((200, 200))
    assert variance[counting].mean() == pytest.approx(mean[counting].mean(), rel=0.1)
    ring, between = mean[104, 94 + 28], mean[104, 94 + 37]
    assert ring > 2 * between


def test_pictures_cannot_be_changed_by_who_receives_them():
    with pytest.raises(ValueError, match="read-only"):
        picture(0, SMALL, "uint16")[0, 0] = 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_packed_frames_decode_to_the_picture(dtype):
    pixels = picture(5, SMALL, dtype, 1)
    raw = packed(5, SMALL, dtype, 1, "none")
    assert np.array_equal(np.frombuffer(raw, dtype).reshape(SMALL), pixels)
    for name, codec in (("bslz4", bslz4), ("lz4", lz4)):
        blob = packed(5, SMALL, dtype, 1, name)
        assert np.array_equal(codec.decompress(blob, SMALL, dtype), pixels)


def test_a_frame_is_compressed_once():
    assert packed(2, SMALL, "uint16", 0, "bslz4") is packed(
        2 + pool_length(SMALL, "uint16"), SMALL, "uint16", 0, "bslz4"
    )


def test_chunks_hold_the_rows_one_after_another():
    pieces = chunks(5, (60, 50), "uint16", 1, "none", 3)
    assert [len(piece) for piece in pieces] == [20 * 50 * 2] * 3
    assert b"".join(pieces) == picture(5, (60, 50), "uint16", 1).tobytes()
