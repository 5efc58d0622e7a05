from srx_service.orders import Batch, Close, Rows
from tests.service.writing import acquisition, images


def batch(live, *orders):
    return Batch([], [*orders], None, live, None, 0)


def test_the_row_of_the_last_image_is_that_of_the_last_rows():
    made, first, last = acquisition(None), images(0, 1), images(2, 3, 4)
    orders = (
        Rows(made, 10, first, [5.0] * 2),
        Rows(made, 12, last, [5.0] * 3),
        Close(made, "done"),
    )
    assert batch(last[-1], *orders).live_row == (made.id, 14)


def test_an_image_that_takes_no_row_has_none():
    made, (written, shown) = acquisition(None), images(0, 1)
    assert batch(shown, Rows(made, 10, [written], [5.0])).live_row is None
    assert batch(shown).live_row is None
