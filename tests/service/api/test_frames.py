"""The last frame as a picture, as an array, as its header."""

import io
import pickle
import threading
import time

import numpy as np
import pytest

from srx_service.latest import Latest
from srx_service.messages import Image
from tests.service.api.fakes import undecodable

LATEST = "/api/v1/frame/latest"
PIXELS = np.arange(24, dtype="uint16").reshape(4, 6)


@pytest.mark.parametrize(
    ("path", "media_type", "content"),
    [
        (".png", "image/png", b"png linear None None (4, 6)"),
        (".png?scale=log&downsample=2", "image/png", b"png log None None (2, 3)"),
        (".png?low=-1&high=9.5", "image/png", b"png linear -1.0 9.5 (4, 6)"),
        (".jpg", "image/jpeg", b"jpg linear None None (4, 6)"),
        (".jpg?scale=sqrt&low=2&high=3", "image/jpeg", b"jpg sqrt 2.0 3.0 (4, 6)"),
    ],
)
def test_the_last_frame_is_a_picture(ask, latest, path, media_type, content):
    latest.show(PIXELS)
    answer = ask("GET", LATEST + path)
    assert answer.headers["content-type"] == media_type
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == content


def test_the_last_frame_is_an_array(ask, latest):
    latest.show(PIXELS)
    answer = ask("GET", f"{LATEST}.npy?downsample=2")
    assert answer.headers["content-type"] == "application/x-npy"
    assert np.load(io.BytesIO(answer.content)).tolist() == PIXELS[::2, ::2].tolist()


@pytest.mark.parametrize("kind", ["png", "npy"])
def test_the_predecessors_name_has_safe_siblings(ask, latest, kind):
    latest.show(PIXELS)
    answer = ask("GET", f"/last_frame.{kind}")
    assert answer.content == ask("GET", f"{LATEST}.{kind}").content


def test_the_header_of_the_last_frame_is_json(ask, latest):
    latest.show(PIXELS)
    answer = ask("GET", LATEST)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"frame": 1, "shape": [4, 6], "hash": "AA=="}


def test_the_sum_of_its_pixels_is_told_when_asked_for(ask, latest):
    latest.show(PIXELS)
    answer = ask("GET", f"{LATEST}?total=true").json()
    assert (answer["frame"], answer["total_counts"]) == (1, PIXELS.sum())
    assert "total_counts" not in ask("GET", LATEST).json()


@pytest.mark.parametrize("kind", ["", "?total=true", ".png", ".jpg", ".npy"])
def test_before_the_first_frame_there_is_none_to_show(ask, kind):
    answer = ask("GET", LATEST + kind)
    assert (answer.status_code, answer.json()["title"]) == (404, "no frame yet")


def test_a_frame_that_cannot_be_unpacked_is_told(ask, latest):
    latest.show(PIXELS)
    latest.fault = undecodable()
    answer = ask("GET", f"{LATEST}.png")
    assert answer.status_code == 502
    assert "blob too short: 8 bytes, 12 wanted" in answer.json()["detail"]


def test_pictures_are_made_outside_the_event_loop(ask, latest):
    latest.show(PIXELS)
    ask("GET", f"{LATEST}.png")
    assert threading.main_thread() not in latest.threads


@pytest.mark.parametrize("query", ["scale=cubic", "downsample=0", "low=nan"])
def test_a_picture_that_cannot_be_made_is_refused(ask, latest, query):
    latest.show(PIXELS)
    assert ask("GET", f"{LATEST}.png?{query}").status_code == 422


@pytest.mark.parametrize("form", ["png", "jpg", "npy"])
def test_while_images_come_a_view_waits_until_the_last_had_its_share(
    ask, latest, line, form
):
    latest.show(PIXELS)
    line.receiving = True
    latest.rests_until_s = time.monotonic() + 0.2
    assert ask("GET", f"{LATEST}.{form}").status_code == 200
    assert time.monotonic() >= latest.rests_until_s


def test_otherwise_a_view_waits_for_nothing(ask, latest):
    latest.show(PIXELS)
    latest.rests_until_s = time.monotonic() + 3600
    assert ask("GET", f"{LATEST}.png").status_code == 200


def test_an_image_of_the_line_is_shown_in_every_form(asker):
    latest = Latest()
    image = Image(
        number=0,
        frame=3,
        shape=(4, 6),
        dtype="uint16",
        encoding="none",
        blobs=(PIXELS.tobytes(),),
    )
    latest.put(None, image)
    ask = asker(latest=latest)
    assert ask("GET", LATEST).json()["frame"] == 3
    assert ask("GET", f"{LATEST}.png").content.startswith(b"\x89PNG")
    assert ask("GET", f"{LATEST}.jpg").content.startswith(b"\xff\xd8")
    pixels = np.load(io.BytesIO(ask("GET", f"{LATEST}.npy").content))
    assert pixels.tolist() == PIXELS.tolist()
    header, blob = pickle.loads(ask("GET", "/last_frame").content)
    assert (header["htype"], blob) == ("image", PIXELS.tobytes())
