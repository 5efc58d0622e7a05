"""Pipelines in the whole service: what a source packs is plain in file and stream."""

import json

import h5py
import hdf5plugin  # noqa: F401 - registers the filters
import httpx
import numpy as np
import pytest
from msgspec.structs import replace

from srx_service.codecs import cbf, mono12p
from srx_service.messages import End, Image, Start
from srx_service.protocols import stins
from srx_service.simulators.pictures import picture
from tests.system.outcome import client_of, last_frame, receive_series, wait_for_file
from tests.system.sources import image, sender_on, series
from tests.system.test_line import newest, wait_for, wait_for_rows

DATASET = "/entry/measurement/Pilatus/data"
SHAPE = (43, 37)
MASK = [[0, 5], [30, 43]]
PILATUS = {"pipeline": "PilatusPipeline", "dset_name": DATASET}


def counts(frame):
    """The pixels of a frame: no two frames are alike; some need 16 and 32 bits."""
    rng = np.random.default_rng(frame)
    pixels = rng.poisson(2, SHAPE).astype(np.int32)
    pixels[7, :4] = [-1, -2, 1000 + frame, 1_000_000]
    return pixels


def file(frame, **fields):
    given = {"shape": SHAPE, "dtype": "int32", "encoding": "cbf"}
    blobs = (cbf.encode(counts(frame)),)
    return Image(number=None, frame=frame, **{**given, "blobs": blobs, **fields})


def pixels_in(path):
    with h5py.File(path) as opened:
        return opened[DATASET][:], opened[DATASET].parent["sequence_number"][:]


def turned(frame):
    pixels = np.rot90(counts(frame), -1).copy()
    pixels[0:5, 30:43] = -1
    return pixels


def test_200_files_by_two_workers_are_in_order_and_exact(
    start_service, free_port, data
):
    entry = {"transform_workers": 2, "rotate": True, "mask": MASK, **PILATUS}
    service = start_service({**entry, "dcu_port_purple": free_port})
    frames = [file(frame) for frame in range(200)]
    with sender_on(free_port) as sender, client_of(service) as client:
        start = Start(filename=str(data / "a.h5"), metadata={"exptime": 0.25})
        sender.send(start, *frames, End())
        got = receive_series(client)
        told = wait_for_file(service, data / "a.h5")
        assert np.array_equal(last_frame(service), turned(199))
    assert told["counts"]["written"] == 200
    expected = np.stack([turned(frame) for frame in range(200)])
    written, sequence = pixels_in(data / "a.h5")
    assert np.array_equal(written, expected)
    assert list(sequence) == list(range(200))
    assert np.array_equal(np.stack(got.pixels), expected)
    assert [head["msg_number"] for head in got.images] == list(range(1, 201))
    head = got.images[0]
    assert (head["shape"], head["type"]) == ([37, 43], "int32")
    assert (head["compression"], head["exposure_time"]) == ("bslz4", 0.25)


def test_time_over_threshold_is_written_as_energy(start_service, free_port, data):
    energies = np.random.default_rng(1).random((*SHAPE, 9))
    np.savez(data / "tot.npz", tot_to_energy_tensor=energies)
    entry = {"tot": str(data / "tot.npz"), "compress": False, **PILATUS}
    service = start_service({**entry, "dcu_port_purple": free_port})
    with sender_on(free_port) as sender:
        sender.send(Start(filename=str(data / "a.h5")), file(0), End())
        wait_for(service, data / "a.h5")
    (written,), _ = pixels_in(data / "a.h5")
    found = counts(0)
    known = np.take_along_axis(energies, found.clip(0, 8)[..., None], axis=2)[..., 0]
    expected = np.select([found < 0, found >= 9], [-1, -2], known).astype(np.float32)
    assert written.dtype == np.float32
    assert np.array_equal(written, expected)


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "not numbered"])
def test_series_without_an_end_append_to_one_file(
    start_service, free_port, data, numbered
):
    service = start_service({**PILATUS, "dcu_port_purple": free_port})
    with sender_on(free_port) as sender:
        for _ in range(2):
            send(sender, numbered, Start(filename=str(data / "a.h5")))
            send(sender, numbered, *(file(frame) for frame in range(3)))
            wait_for_rows(service, 3)
        send(sender, numbered, Start(filename=str(data / "b.h5")))
        service.wait_until(lambda: newest(service)["file"] == str(data / "b.h5"))
        service.wait_until(lambda: states(service)[1:] == ["done", "done"])
        told = service.get("/api/v1/acquisitions")["acquisitions"][1:]
    assert [one["counts"]["missing"] for one in told] == [0, 0]
    written, sequence = pixels_in(data / "a.h5")
    assert np.array_equal(written, np.stack(2 * [counts(k) for k in range(3)]))
    assert list(sequence) == [0, 1, 2, 0, 1, 2]


def states(service):
    told = service.get("/api/v1/acquisitions")["acquisitions"]
    return [one["state"] for one in told]


def send(sender, numbered, *messages):
    """Send as a new streamer does, or as an old one, which numbers nothing."""
    if numbered:
        sender.send(*messages)
        return
    for message in messages:
        head, *blobs = stins.encode(message, 0)
        fields = json.loads(head)
        del fields["msg_number"]
        sender.send_parts(json.dumps(fields).encode(), *blobs)


BROKEN = {
    "no marker": {"blobs": (b"###CBF: VERSION 1.5\r\n" + bytes(500),)},
    "tif": {"blobs": (counts(0).tobytes(),)},
    "larger than its shape": {"shape": (20, 20)},
    "smaller than its shape": {"shape": (400, 400)},
    "cut": {"blobs": (cbf.encode(counts(0))[:-5000],)},
    "empty": {"blobs": (b"",)},
    "wrong size": {
        "blobs": (
            cbf.encode(counts(0)).replace(b"Binary-Size: 1", b"Binary-Size: 9", 1),
        )
    },
}


def test_broken_files_are_rejected_and_the_line_goes_on(start_service, free_port, data):
    service = start_service({**PILATUS, "dcu_port_purple": free_port})
    broken = [file(k, **fields) for k, fields in enumerate(BROKEN.values(), 1)]
    last = len(broken) + 1
    with sender_on(free_port) as sender:
        start = Start(filename=str(data / "a.h5"))
        sender.send(start, file(0), *broken, file(last), End())
        told = wait_for(service, data / "a.h5")
        assert told["counts"]["rejected"] == len(broken)
        assert told["counts"]["written"] == 2
        sender.send(*[Start(filename=str(data / "b.h5")), file(0), End()])
        wait_for(service, data / "b.h5")
    written, _ = pixels_in(data / "a.h5")
    assert np.array_equal(written[0], counts(0))
    assert np.array_equal(written[last], counts(last))
    assert np.all(written[1:last] == -1)
    assert "no marker 0C 1A 04 D5" in service.log.read_text()


def test_files_without_a_pipeline_are_sent_on_and_the_file_refuses_them(
    start_service, free_port, data
):
    service = start_service({"dset_name": DATASET, "dcu_port_purple": free_port})
    sent = file(0)
    with sender_on(free_port) as sender, client_of(service) as client:
        sender.send(Start(filename=str(data / "a.h5")), sent, End())
        got = [client.recv_multipart() for _ in range(3)]
        service.wait_until(lambda: newest(service)["state"] in ("done", "failed"))
        assert newest(service)["counts"]["rejected"] == 1
    assert json.loads(got[1][0])["compression"] == "cbf"
    assert got[1][1] == sent.blobs[0]
    assert "set `pipeline: PilatusPipeline`" in service.log.read_text()


def test_12_bits_are_16_in_the_file(start_service, free_port, data):
    entry = {"pipeline": "OrcaPipeline", "transform_workers": 2, "dset_name": DATASET}
    service = start_service({**entry, "dcu_port_purple": free_port})
    rng = np.random.default_rng(6)
    sent = rng.integers(0, 4096, (20, *SHAPE)).astype(np.uint16)
    images = [
        file(k, dtype="mono12p", encoding="none", blobs=(mono12p.encode(pixels),))
        for k, pixels in enumerate(sent, 1)
    ]
    images[7] = replace(images[7], blobs=(bytes(5),))
    with sender_on(free_port) as sender, client_of(service) as client:
        sender.send(Start(filename=str(data / "a.h5")), *images, End())
        got = receive_series(client)
        told = wait_for_file(service, data / "a.h5")
    written, sequence = pixels_in(data / "a.h5")
    assert told["counts"]["rejected"] == 1
    assert list(np.delete(sequence, 7)) == [k for k in range(1, 21) if k != 8]
    sent[7] = 65535
    assert np.array_equal(written, sent)
    assert np.array_equal(np.stack(got.pixels), np.delete(sent, 7, axis=0))


def test_12_bits_without_a_pipeline_are_refused_with_a_word_what_to_do(
    start_service, free_port, data
):
    service = start_service({"dset_name": DATASET, "dcu_port_purple": free_port})
    blob = mono12p.encode(np.zeros(SHAPE, np.uint16))
    packed = file(1, dtype="mono12p", encoding="none", blobs=(blob,))
    with sender_on(free_port) as sender:
        sender.send(Start(filename=str(data / "a.h5")), packed, End())
        service.wait_until(lambda: newest(service)["state"] in ("done", "failed"))
    assert newest(service)["counts"]["rejected"] == 1
    assert "set `pipeline: OrcaPipeline`" in service.log.read_text()


def test_a_plain_series_passes_a_pipeline(start_service, free_port, data):
    entry = {"pipeline": "OrcaPipeline", "dset_name": DATASET}
    service = start_service({**entry, "dcu_port_purple": free_port})
    with sender_on(free_port) as sender:
        sender.send(*series(str(data / "a.h5"), 3))
        wait_for(service, data / "a.h5")
    written, _ = pixels_in(data / "a.h5")
    assert [shot.tobytes() for shot in written] == [image(k).blobs[0] for k in range(3)]


@pytest.mark.parametrize(
    ("name", "pipeline", "expected"),
    [
        ("pilatus", "PilatusPipeline", lambda k: picture(k, SHAPE, "int32")),
        ("orca", "OrcaPipeline", lambda k: picture(k, SHAPE, "uint16").clip(max=4095)),
    ],
)
def test_a_simulated_detector_is_written(
    start_service, start_simulator, data, name, pipeline, expected
):
    simulator = start_simulator(name, "--shape", "43,37", "--rate", "0")
    port = simulator.ports["stream_port"]
    entry = {"pipeline": pipeline, "dset_name": DATASET, "dcu_port_purple": port}
    service = start_service(entry)
    with httpx.Client(base_url=simulator.url, timeout=20.0) as control:
        body = {"frames": 12, "filename": str(data / "a.h5")}
        for path, given in (("config", body), ("arm", None), ("trigger", None)):
            method = "PUT" if path == "config" else "POST"
            control.request(method, f"/{path}", json=given).raise_for_status()
    wait_for(service, data / "a.h5")
    written, _ = pixels_in(data / "a.h5")
    assert np.array_equal(written, np.stack([expected(k) for k in range(12)]))
