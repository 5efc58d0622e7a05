"""Take the pictures of the docs anew: `python -m tests.screenshots`.

Simulated Eiger, service and browser are real; so are the losses in the list.
"""

import io
import re
import tempfile
import threading
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.blocks import ROOT
from tests.conftest import pick_port
from tests.system.browsing import Viewer, chromium, viewer
from tests.system.conftest import Program, Programs
from tests.system.sources import image, sender_on, series

FOLDER = ROOT / "docs" / "images"
SHAPE = (420, 405)
"""Small: noise is what makes a picture large."""
COLOURS = 128
"""Of a picture; more make it larger and not better to look at."""
KMEANS = 3
"""Rounds in which they are chosen again: few may not go to waste on noise."""
MAX_BYTES = 150_000
DESKTOP = {"viewport": {"width": 1280, "height": 860}}
TOP = {"x": 0, "y": 0, "width": 1280, "height": 480}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 1,
    "is_mobile": True,
    "has_touch": True,
}


def main() -> None:
    """Take all of them."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        programs = Programs(Path(folder))
        try:
            take_live(browser, programs)
            take_losses(browser, programs)
        finally:
            programs.close()


def save(name: str, png: bytes) -> None:
    """Write a picture, in a palette of its own."""
    shot = Image.open(io.BytesIO(png)).convert("RGB")
    small = shot.quantize(COLOURS, kmeans=KMEANS, dither=Image.Dither.NONE)
    path = FOLDER / f"{name}.png"
    small.save(path, optimize=True)
    assert path.stat().st_size < MAX_BYTES, f"{name}: {path.stat().st_size} bytes"


# -- an Eiger that measures ------------------------------------------------------------


def take_live(browser: Browser, programs: Programs) -> None:
    """The page while a simulated Eiger measures: light, dark, on a phone."""
    simulator = programs.simulator("eiger", "--shape", f"{SHAPE[0]},{SHAPE[1]}")
    entry = {"class": "Eiger", "dcu_port_purple": simulator.ports["stream_port"]}
    service = programs.service(entry)
    detector = f"{simulator.url}/detector/api/1.8.0"
    measure(detector, service, programs.data / "LaB6_000001.h5", 20)
    file = programs.data / "LaB6_000002.h5"
    # to trigger is answered when all images are taken
    long = threading.Thread(target=measure, args=(detector, service, file, 2000))
    long.start()
    for name, options in (
        ("page-light", DESKTOP),
        ("page-dark", {**DESKTOP, "color_scheme": "dark"}),
        ("page-phone", PHONE),
    ):
        with viewer(browser, service.url, **options) as seen:
            look_at_rings(seen, is_phone=name == "page-phone")
            save(name, seen.page.screenshot())
    put(f"{detector}/command/abort")
    long.join()


def measure(detector: str, service: Program, file: Path, frames: int) -> None:
    """Take a series of frames into a file."""
    put(f"{detector}/config/frame_time", 0.05)
    put(f"{detector}/config/nimages", frames)
    body = {"file": str(file), "expected": frames}
    acquisitions = f"{service.url}/api/v1/acquisitions"
    armed = httpx.post(acquisitions, json=body, timeout=60).raise_for_status().json()
    put(f"{detector}/command/arm")
    put(f"{detector}/command/trigger")
    stop = f"{acquisitions}/{armed['id']}/stop"
    httpx.post(stop, timeout=60).raise_for_status()


def put(url: str, value: object = None) -> None:
    """Set a parameter of the detector, or give it a command."""
    body = {"json": {"value": value}} if value is not None else {}
    httpx.put(url, timeout=300, **body).raise_for_status()


def look_at_rings(seen: Viewer, *, is_phone: bool) -> None:
    """Two regions, a cursor, and ten seconds of plots."""
    seen.open()
    seen.choose("Scale", "Square root")
    expect(seen.told("shape")).to_contain_text("405")
    for start, stop in (((148, 241), (179, 272)), ((58, 46), (101, 128))):
        seen.button("Region").click()
        seen.drag(seen.place(*start, SHAPE), seen.place(*stop, SHAPE))
    expect(seen.page.locator("[data-region=B]")).to_contain_text("Σ")
    seen.page.wait_for_timeout(12_000)
    if not is_phone:
        seen.point_at(98, 214, SHAPE)
        expect(seen.told("pixel")).to_contain_text(re.compile(r"^98, 214 = \d"))


# -- what goes wrong -------------------------------------------------------------------


def take_losses(browser: Browser, programs: Programs) -> None:
    """The list of acquisitions with losses; a file that cannot be written."""
    port = pick_port()
    service = programs.service({"dcu_port_purple": port, "gap_timeout": 0.1})
    with sender_on(port) as sender, viewer(browser, service.url, **DESKTOP) as seen:
        seen.open()
        for number in range(1, 6):
            name = f"scan_{number:06d}.h5"
            start, *images, end = series(str(programs.data / name), 60)
            if number == 5:
                (programs.data / name).mkdir()
            sender.send(start, *images[:20])
            if number == 3:
                sender.number += 4  # four frames never come
                images = images[:20] + images[24:]
                sender.send(image(24, dtype="uint32", blobs=(bytes(192),)))
                images = images[:20] + images[21:]
            sender.send(*images[20:], end)
            row = seen.page.locator("tbody tr").filter(has_text=name).first
            expect(row).to_contain_text("failed" if number == 5 else "done")
        save("page-error", seen.page.screenshot(clip=TOP))
        save("page-acquisitions", seen.page.locator(".list").screenshot())


if __name__ == "__main__":
    main()
