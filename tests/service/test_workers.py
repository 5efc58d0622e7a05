import threading

import pytest
from msgspec.structs import replace

from srx_service.errors import ProtocolError
from srx_service.messages import NO_PIXELS, End, Start
from srx_service.orders import Batch, Rows
from srx_service.workers import Workers
from tests.service.writing import acquisition, image, images

ROTATED = Start(rotate=1)
PATIENCE_S = 20.0


class Line:
    """Workers that mark images as transformed, and what they handed on."""

    def __init__(self, count=2, apply=None):
        self.handed_on = []
        self.threads = set()
        self.workers = Workers(
            count,
            needs=lambda start: start is not None and start.rotate != 0,
            apply=apply or (lambda image, start: replace(image, encoding="done")),
            hand_on=self._take,
        )
        self.thread = threading.Thread(target=self.workers.run)

    def _take(self, batch):
        self.handed_on.append(batch)
        self.threads.add(threading.current_thread())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.workers.stop()
        self.thread.join(PATIENCE_S)


def batch(*messages, start=None, orders=(), live=None, size_bytes=100):
    last = next((m for m in reversed(messages) if isinstance(m, Start)), start)
    return Batch(list(messages), list(orders), start, live, last, size_bytes)


def encodings(batch):
    return [getattr(message, "encoding", None) for message in batch.messages]


def test_what_needs_no_transform_passes_at_once_in_the_same_thread():
    with Line() as line:
        given = batch(Start(), *images(0, 1), End())
        line.workers.submit(given)
        assert line.handed_on == [given]
        assert line.threads == {threading.current_thread()}


def test_images_after_a_header_that_asks_for_it_are_transformed():
    with Line() as line:
        line.workers.submit(batch(image(0), ROTATED, image(1), Start(), image(2)))
        line.workers.settle()
        assert encodings(line.handed_on[0]) == ["none", None, "done", None, "none"]


def test_the_header_in_force_before_the_batch_counts():
    with Line() as line:
        line.workers.submit(batch(image(0), start=ROTATED))
        line.workers.settle()
        assert encodings(line.handed_on[0]) == ["done"]


def test_writer_and_live_view_get_the_same_transformed_image():
    shot = image(0)
    rows = Rows(acquisition(None), 0, [shot], [5.0])
    with Line() as line:
        line.workers.submit(batch(shot, start=ROTATED, orders=[rows], live=shot))
        line.workers.settle()
    (given,) = line.handed_on
    assert given.messages[0] is given.orders[0].images[0] is given.live
    assert given.live.encoding == "done"


def test_results_are_handed_on_in_the_order_of_submission():
    first_may_end = threading.Event()

    def apply(image, start):
        if image.frame == 0:
            first_may_end.wait(PATIENCE_S)
        return image

    with Line(apply=apply) as line:
        for frame in range(8):
            line.workers.submit(batch(image(frame), start=ROTATED))
        line.workers.submit(batch(End()))
        assert line.handed_on == []
        first_may_end.set()
        line.workers.settle()
        frames = [getattr(b.messages[0], "frame", None) for b in line.handed_on]
    assert frames == [*range(8), None]


def test_bytes_under_way_are_told():
    may_end = threading.Event()
    with Line(apply=lambda i, _: may_end.wait(PATIENCE_S) and i) as line:
        line.workers.submit(batch(image(0), start=ROTATED, size_bytes=70))
        line.workers.submit(batch(image(1), start=ROTATED, size_bytes=30))
        assert line.workers.queued_bytes == 100
        may_end.set()
        line.workers.settle()
        assert line.workers.queued_bytes == 0


@pytest.mark.parametrize("error", [ValueError("odd"), ProtocolError("cbf", "odd")])
def test_an_image_that_cannot_be_transformed_has_no_pixels(error, caplog):
    def apply(image, start):
        if image.frame % 2:
            raise error
        return image

    with Line(apply=apply) as line:
        line.workers.submit(batch(*images(0, 1, 2, 3), start=ROTATED))
        line.workers.settle()
    assert encodings(line.handed_on[0]) == ["none", NO_PIXELS, "none", NO_PIXELS]
    assert line.handed_on[0].messages[1].blobs == ()
    assert caplog.text.count("cannot be transformed") == 1


def test_an_image_without_pixels_is_not_transformed():
    empty = replace(image(1), encoding=NO_PIXELS, blobs=())
    with Line() as line:
        line.workers.submit(batch(image(0), empty, start=ROTATED))
        line.workers.settle()
    assert encodings(line.handed_on[0]) == ["done", NO_PIXELS]


def test_a_fault_of_a_transform_ends_the_thread_with_its_cause():
    line = Line(apply=lambda image, start: 1 / 0)
    line.workers.submit(batch(image(0), start=ROTATED))
    with pytest.raises(ZeroDivisionError):
        line.workers.run()


def test_what_was_submitted_is_handed_on_before_it_stops():
    with Line() as line:
        for frame in range(5):
            line.workers.submit(batch(image(frame), start=ROTATED))
    assert len(line.handed_on) == 5
