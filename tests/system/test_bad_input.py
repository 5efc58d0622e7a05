"""Whatever is wrong with one message, name, client or disk, the line goes on."""

import resource
import socket

import httpx
import numpy as np
import pytest
import zmq

from srx_service.api.models import Status
from srx_service.messages import End, Start
from tests.hostile import stins
from tests.system.sources import image, pixels, sender_on, series
from tests.system.test_line import frames_in, wait_for, wait_for_rows


def test_broken_messages_are_counted_and_good_ones_written(line, folder):
    service, sender = line
    sender.send(Start(filename=str(folder / "a.h5")), image(0))
    sender.send_parts(b"\xff\xfe junk")
    sender.send_parts(b'{"htype": "status"}')
    sender.send_parts(b"{" * 100_000)
    sender.send_parts(b'{"htype": "image", "frame": -1}', b"x")
    sender.send(image(1), End())
    wait_for(service, folder / "a.h5")
    assert np.array_equal(frames_in(folder / "a.h5")[:, 0, 0], [0, 100])
    told = service.get("/status")
    assert sum(told["undecodable"].values()) >= 4
    assert all(example["error"] for example in told["examples"].values())
    Status.model_validate(told, strict=True)


def test_a_frame_of_the_wrong_size_is_rejected_and_told(line, folder):
    service, sender = line
    sender.send(Start(filename=str(folder / "a.h5")), image(0))
    sender.send(image(1, blobs=(b"short",)), image(2), End())
    told = wait_for(service, folder / "a.h5")
    assert (told["counts"]["rejected"], told["counts"]["written"]) == (1, 2)
    assert list(frames_in(folder / "a.h5")[:, 0, 0]) == [0, 65535, 200]
    assert "has 5 bytes, its shape wants 96" in service.log.read_text()


def test_100_mb_of_json_are_refused_and_the_next_frame_is_written(line, folder):
    service, sender = line
    sender.send(Start(filename=str(folder / "a.h5")))
    sender.send_parts(b'{"htype": "image", "x": "' + b"a" * 100_000_000 + b'"}', b"")
    sender.send(image(0), End())
    wait_for(service, folder / "a.h5")
    assert frames_in(folder / "a.h5").shape[0] == 1
    assert service.get("/status")["undecodable"]["too large"] >= 1


@pytest.mark.parametrize("name", ["../../etc/x.h5", "/etc/srx.h5", "a\0b.h5"])
def test_a_name_outside_write_root_is_refused_and_told(line, name, folder):
    service, sender = line
    sender.send(*series(name, 2), *series(str(folder / "good.h5"), 1))
    wait_for(service, folder / "good.h5")
    refused = service.get("/api/v1/acquisitions")["acquisitions"][1]
    assert refused["state"] == "failed"
    assert "write_root" in refused["error"] or "NUL" in refused["error"]
    assert refused["counts"]["unsaved"] == 2


def test_a_file_that_exists_is_never_overwritten_by_an_arm(line, folder):
    service, sender = line
    sender.send(*series(str(folder / "a.h5"), 2))
    wait_for(service, folder / "a.h5")
    body = {"file": str(folder / "a.h5")}
    answer = httpx.post(f"{service.url}/api/v1/acquisitions", json=body)
    assert answer.status_code == 409
    assert "never overwritten" in answer.json()["detail"]
    assert frames_in(folder / "a.h5").shape[0] == 2


def test_frames_of_another_shape_do_not_get_into_an_existing_file(line, folder):
    service, sender = line
    sender.send(*series(str(folder / "a.h5"), 2))
    wait_for(service, folder / "a.h5")
    odd = image(0, shape=(4, 4), blobs=(bytes(32),))
    sender.send(Start(filename=str(folder / "a.h5")), odd, End())
    told = wait_for(service, folder / "a.h5", "failed")
    assert told["counts"]["rejected"] == 1
    assert np.array_equal(frames_in(folder / "a.h5")[:2, 0, 0], [0, 100])


def test_a_folder_that_cannot_be_made_fails_the_acquisition_only(line, folder):
    service, sender = line
    (folder / "taken").write_text("a file, not a folder")
    sender.send(*series(str(folder / "taken" / "a.h5"), 2))
    told = wait_for(service, folder / "taken" / "a.h5", "failed")
    assert "taken" in told["error"]
    shown = service.get("/status")
    assert (shown["state"], shown["error"]) == ("error", told["error"])
    sender.send(*series(str(folder / "b.h5"), 2))
    wait_for(service, folder / "b.h5")
    assert service.get("/status")["state"] == "idle"


def test_a_full_disk_fails_the_acquisition_and_keeps_the_good_frames(
    start_service, free_port, data
):
    service = start_service({"dcu_port_purple": free_port})
    with sender_on(free_port) as sender:
        fill_the_disk(service, sender, data)


def fill_the_disk(service, sender, data):
    limit, pid = 300_000, service.process.pid
    sender.send(Start(filename=str(data / "a.h5")), *map(image, range(100)))
    wait_for_rows(service, 100)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    sender.send(*map(image, range(100, 5000)), End())
    told = wait_for(service, data / "a.h5", "failed")
    assert "free space" in told["error"]
    counts = told["counts"]
    assert counts["written"] + counts["unsaved"] == counts["received"] == 5000
    kept = frames_in(data / "a.h5", swmr=True)
    assert len(kept) >= 100
    assert np.array_equal(kept[:100], [pixels(frame) for frame in range(100)])
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    sender.send(*series(str(data / "b.h5"), 3))
    wait_for(service, data / "b.h5")
    assert frames_in(data / "b.h5").shape[0] == 3


def test_a_connection_that_never_speaks_is_no_client(line, folder):
    service, sender = line
    with socket.create_connection(("127.0.0.1", service.ports["data_port"])):
        sender.send(*series(str(folder / "a.h5"), 50))
        wait_for(service, folder / "a.h5")
        assert service.get("/status")["clients"] == 0
    assert frames_in(folder / "a.h5").shape[0] == 50


def test_a_client_that_never_reads_does_not_hold_up_the_file(line, folder):
    service, sender = line
    with zmq.Context() as context, context.socket(zmq.PULL) as lazy:
        lazy.rcvhwm = 1
        lazy.connect(f"tcp://127.0.0.1:{service.ports['data_port']}")
        service.wait_until(lambda: service.get("/status")["clients"] == 1)
        sender.send(*series(str(folder / "a.h5"), 3000))
        told = wait_for(service, folder / "a.h5")
        lazy.linger = 0
    assert told["counts"]["written"] == 3000


def test_a_source_that_restarts_with_its_counter_at_0_starts_a_new_file(line, folder):
    service, sender = line
    sender.send(Start(filename=str(folder / "a.h5")), *map(image, range(10)))
    sender.number = 0
    sender.send(*series(str(folder / "b.h5"), 3))
    wait_for(service, folder / "b.h5")
    assert frames_in(folder / "a.h5").shape[0] == 10
    assert frames_in(folder / "b.h5").shape[0] == 3


def test_every_kind_of_hostile_message_leaves_the_line_going(line, folder):
    service, sender = line
    for hostile in stins.HOSTILE.values():
        if parts := hostile.make():
            sender.send_parts(*parts)
    sender.number = 0
    sender.send(*series(str(folder / "good.h5"), 5))
    wait_for(service, folder / "good.h5")
    assert frames_in(folder / "good.h5").shape[0] == 5
    assert service.get("/status")["decoder_faults"] == 0
