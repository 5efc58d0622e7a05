"""The whole service under a real source: what arrives is in the file, and told."""

import json
import subprocess
import sys
import threading

import bitshuffle
import h5py
import hdf5plugin  # noqa: F401 - registers the filters
import httpx
import numpy as np
import pytest
import zmq

from srx_service.messages import End, Start
from tests.system.sources import image, pixels, sender_on, series
from tests.wire import recorded

EIGER = {"class": "Eiger", "nworkers": 8}


def newest(service):
    listed = service.get("/api/v1/acquisitions")["acquisitions"]
    return listed[0] if listed else {"state": None, "rows": 0, "file": None}


def of(service, file):
    """All acquisitions that went into a file."""
    listed = service.get("/api/v1/acquisitions")["acquisitions"]
    return [told for told in listed if told["file"] == str(file)]


def wait_for(service, file, state="done"):
    service.wait_until(
        lambda: (
            (told := newest(service))["state"] == state
            and told["file"] == (file and str(file))
        )
    )
    return newest(service)


def wait_for_rows(service, rows):
    service.wait_until(lambda: newest(service)["rows"] >= rows)


def frames_in(file, **how):
    with h5py.File(file, **how) as opened:
        return opened["/entry/data/data"][:]


def expect(count, first=0):
    return np.stack([pixels(frame) for frame in range(first, first + count)])


@pytest.mark.parametrize("encoding", ["none", "bslz4"])
def test_what_is_sent_is_in_the_file(line, folder, encoding):
    service, sender = line
    sender.send(*series(str(folder / "a.h5"), 20, encoding=encoding))
    told = wait_for(service, folder / "a.h5")
    assert np.array_equal(frames_in(folder / "a.h5"), expect(20))
    counts = {name: n for name, n in told["counts"].items() if n}
    assert counts == {"received": 20, "written": 20}
    assert told["error"] is None


def test_it_is_running_from_the_header_to_the_closing_of_the_file(line, folder):
    service, sender = line
    assert service.get("/status")["state"] == "idle"
    sender.send(Start(filename=str(folder / "a.h5")), image(0))
    service.wait_until(lambda: service.get("/status")["state"] == "running")
    wait_for_rows(service, 1)
    assert service.get("/received_frames") == {"value": 1}
    sender.send(End())
    service.wait_until(lambda: service.get("/status")["state"] == "idle")
    assert frames_in(folder / "a.h5").shape[0] == 1


def test_series_of_one_name_follow_one_another_in_one_file(line, folder):
    service, sender = line
    file = folder / "scan.h5"
    for point in range(5):
        sender.send(Start(filename=str(file)), image(2 * point), image(2 * point + 1))
        sender.send(End())
    service.wait_until(
        lambda: [told["state"] for told in of(service, file)] == 5 * ["done"]
    )
    assert np.array_equal(frames_in(file), expect(10))


@pytest.mark.parametrize("start", [Start(filename=""), Start(metadata={"save_raw": 0})])
def test_without_a_name_or_with_save_raw_false_nothing_is_written(line, folder, start):
    service, sender = line
    sender.send(start, image(0), End())
    told = wait_for(service, None)
    assert told["counts"]["unsaved"] == 1
    assert list(folder.iterdir()) == []
    assert service.get("/api/v1/frame/latest")["shape"] == [6, 8]


def test_a_discarded_frame_is_shown_and_takes_no_row(line, folder):
    service, sender = line
    sender.send(Start(filename=str(folder / "a.h5")), image(0))
    sender.send(image(1, discard=True, extras={"discard": True}), image(2), End())
    told = wait_for(service, folder / "a.h5")
    assert told["counts"]["discarded"] == 1
    assert np.array_equal(frames_in(folder / "a.h5")[:, 0, 0], [0, 200])


def test_a_frame_that_is_lost_leaves_its_row_and_is_told(
    start_service, free_port, data
):
    service = start_service({"dcu_port_purple": free_port, "gap_timeout": 0.1})
    with sender_on(free_port) as sender:
        sender.send(Start(filename=str(data / "a.h5")), image(0))
        sender.number += 1
        sender.send(image(2), End())
        told = wait_for(service, data / "a.h5")
    assert (told["rows"], told["counts"]["missing"]) == (3, 1)
    assert list(frames_in(data / "a.h5")[:, 0, 0]) == [0, 65535, 200]
    with h5py.File(data / "a.h5") as file:
        assert list(file["/entry/instrument/eiger/missing_frames"]) == [1]


def test_several_connections_keep_the_order(start_service, free_port, data):
    service = start_service({"dcu_port_purple": free_port, "nworkers": 4})
    with sender_on(free_port) as sender:
        sender.send(*series(str(data / "a.h5"), 300))
        told = wait_for(service, data / "a.h5")
    assert told["counts"]["written"] == 300
    assert np.array_equal(frames_in(data / "a.h5"), expect(300))


def test_a_rotation_asked_for_turns_file_and_live_view(start_service, free_port, data):
    """header_appendix {"rotate": 1}, as cosaxs sends it."""
    service = start_service({**EIGER, "dcu_port_purple": free_port})
    from srx_service.protocols import dectris_stream1 as dectris

    start = Start(
        series=1,
        number=-1,
        metadata={"nimages": 4, "ntrigger": 1, "count_time": 0.1},
        appendix=json.dumps({"filename": str(data / "r.h5"), "rotate": 1}).encode(),
    )
    with sender_on(free_port) as sender:
        sender.send_parts(*dectris.encode(start))
        for frame in range(4):
            shot = image(frame, encoding="bslz4", series=1, extras=TIMES)
            sender.send_parts(*dectris.encode(shot))
        sender.send_parts(*dectris.encode(End(series=1)))
        wait_for(service, data / "r.h5")
    assert np.array_equal(frames_in(data / "r.h5"), np.rot90(expect(4), 1, (1, 2)))
    assert service.get("/api/v1/frame/latest")["shape"] == [8, 6]


TIMES = {"hash": "", "start_time": 1, "stop_time": 2, "real_time": 1}


def replay(recordings, port, *more):
    words = [sys.executable, "-m", "srx_service", "replay"]
    words += [str(recordings / "eiger_legacy_dump.zip"), "--port", str(port), *more]
    return subprocess.run(words, check=True, capture_output=True, timeout=60)


def recorded_pixels(recordings):
    """The frames of the recording, decoded by somebody else's codec."""
    found = []
    for parts in recorded.messages(recordings / "eiger_legacy_dump.zip"):
        if json.loads(parts[0]).get("htype") == "dimage-1.0":
            told = json.loads(parts[1])
            blob = np.frombuffer(parts[2], np.uint8)[12:]
            shape, dtype = tuple(reversed(told["shape"])), np.dtype(told["type"])
            block = 8192 // dtype.itemsize
            found.append(bitshuffle.decompress_lz4(blob, shape, dtype, block))
    return np.stack(found)


def test_a_recorded_eiger_series_is_written_pixel_for_pixel(
    start_service, free_port, data, recordings
):
    service = start_service({**EIGER, "dcu_port_purple": free_port})
    replay(recordings, free_port, "--filename", str(data / "A.h5"), "--end")
    told = wait_for(service, data / "A.h5")
    assert (told["rows"], told["announced"]) == (9, 100000)
    assert (told["counts"]["missing"], told["counts"]["short"]) == (0, 0)
    with h5py.File(data / "A.h5") as file:
        assert file["/entry/data/data"].shape == (9, 1065, 1030)
        assert np.array_equal(file["/entry/data/data"], recorded_pixels(recordings))
        group = file["/entry/instrument/eiger"]
        assert list(group["sequence_number"]) == list(range(9))
        assert group["pixel_mask"].shape == group["flatfield"].shape == (1065, 1030)


def test_a_series_without_an_end_is_readable_until_the_next_closes_it(
    start_service, free_port, data, recordings
):
    service = start_service({**EIGER, "dcu_port_purple": free_port})
    replay(recordings, free_port, "--filename", str(data / "A.h5"))
    wait_for_rows(service, 9)
    assert service.get("/status")["state"] == "running"
    assert frames_in(data / "A.h5", swmr=True).shape == (9, 1065, 1030)
    replay(recordings, free_port, "--filename", str(data / "B.h5"))
    service.wait_until(lambda: newest(service)["file"] == str(data / "B.h5"))
    wait_for_rows(service, 9)
    first = service.get("/api/v1/acquisitions")["acquisitions"][1]
    assert (first["state"], first["rows"]) == ("done", 9)
    assert np.array_equal(frames_in(data / "A.h5"), recorded_pixels(recordings))
    stop = f"{service.url}/api/v1/acquisitions/{newest(service)['id']}/stop"
    assert httpx.post(stop).json()["state"] == "done"
    assert frames_in(data / "B.h5").shape[0] == 9


def test_an_armed_acquisition_takes_several_series(line, folder):
    service, sender = line
    body = {"file": str(folder / "api.h5"), "series": 2, "metadata": {"user": "me"}}
    armed = httpx.post(f"{service.url}/api/v1/acquisitions", json=body)
    assert armed.status_code == 201
    sender.send(*series("ignored.h5", 3), *series("", 2))
    told = wait_for(service, folder / "api.h5")
    assert (told["series_seen"], told["counts"]["written"]) == (2, 5)
    assert np.array_equal(frames_in(folder / "api.h5")[3:], expect(2))


def test_a_rewind_takes_rows_back_and_the_next_series_goes_on_there(line, folder):
    service, sender = line
    body = {"file": str(folder / "api.h5"), "series": "open"}
    path = f"{service.url}/api/v1/acquisitions"
    path += "/" + httpx.post(path, json=body).json()["id"]
    sender.send(Start(), *(image(frame) for frame in range(5)))
    wait_for_rows(service, 5)
    told = httpx.post(f"{path}/rewind", json={"rows": 3}).json()
    assert (told["rows"], told["counts"]["rewound"]) == (3, 2)
    sender.send(Start(), image(7), image(8), End())
    wait_for_rows(service, 5)
    assert httpx.post(f"{path}/stop").json()["state"] == "done"
    assert list(frames_in(folder / "api.h5")[:, 0, 0]) == [0, 100, 200, 700, 800]


def test_a_long_poll_is_answered_when_the_row_is_durable(line, folder):
    service, sender = line
    sender.send(Start(filename=str(folder / "a.h5")), image(0))
    wait_for_rows(service, 1)
    url = f"{service.url}/api/v1/acquisitions/{newest(service)['id']}"
    later = threading.Timer(0.2, lambda: sender.send(image(1)))
    later.start()
    told = httpx.get(url, params={"wait_frames": 2, "timeout": 30}, timeout=40).json()
    later.join()
    assert told["rows"] == 2
    assert frames_in(folder / "a.h5", swmr=True).shape[0] == 2
    sender.send(End())


def test_live_view_and_file_have_the_same_pixels(line, folder):
    service, sender = line
    sender.send(*series(str(folder / "a.h5"), 3, encoding="bslz4"))
    wait_for(service, folder / "a.h5")
    shown = httpx.get(f"{service.url}/api/v1/frame/latest.npy").content
    (tmp := folder / "shown.npy").write_bytes(shown)
    assert np.array_equal(np.load(tmp), pixels(2))
    png = httpx.get(f"{service.url}/last_frame.png").content
    assert png.startswith(b"\x89PNG")


def test_the_secondary_port_carries_the_series_with_numbers_of_its_own(line, folder):
    service, sender = line
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.rcvtimeo = 30_000
        pull.connect(f"tcp://127.0.0.1:{service.ports['data_port']}")
        service.wait_until(lambda: service.get("/status")["clients"] == 1)
        sender.number = 1000
        sender.send(*series(str(folder / "a.h5"), 3))
        got = [pull.recv_multipart() for _ in range(5)]
    heads = [json.loads(parts[0]) for parts in got]
    assert [head["htype"] for head in heads] == ["header", *["image"] * 3, "series_end"]
    assert [head["msg_number"] for head in heads] == [0, 1, 2, 3, 4]
    assert got[2][1] == pixels(1).tobytes()


def test_a_stop_writes_what_waits_behind_a_gap(start_service, free_port, data):
    service = start_service({"dcu_port_purple": free_port, "gap_timeout": 3600})
    with sender_on(free_port) as sender:
        sender.send(Start(filename=str(data / "a.h5")), image(0))
        sender.number += 1
        sender.send(image(2))
        wait_for_rows(service, 1)
        url = f"{service.url}/api/v1/acquisitions/{newest(service)['id']}"
        service.wait_until(lambda: service.get("/status")["messages"] == 3)
        told = httpx.post(f"{url}/stop").json()
    assert (told["state"], told["counts"]["missing"]) == ("done", 1)
    assert list(frames_in(data / "a.h5")[:, 0, 0]) == [0, 65535, 200]
