"""The page in a real browser: Debian's chromium, driven by Playwright."""

import contextlib
import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from srx_service.messages import End, Image, Start
from tests.system.sources import Sender

PATIENCE_MS = 60_000
"""On a machine where everything starts at once."""
MARGIN = 0.02
"""Around a whole frame, of the picture's sides."""
ARGUMENTS = (
    "--no-sandbox",  # root has none
    "--disable-dev-shm-usage",  # containers give it 64 MB
)
_frames = itertools.count(1)
"""No two frames of a run have the same index: the page tells which it shows."""

expect.set_options(timeout=PATIENCE_MS)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    path = shutil.which("chromium")
    assert path, "no chromium: install the Debian package"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Viewer:
    """Somebody who looks at the page."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        """What no page should have: exceptions, and what its policy forbids."""
        self.requests: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._listen)
        page.on("request", lambda request: self.requests.append(request.url))

    def _listen(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.errors.append(message.text)

    def open(self) -> None:
        self.page.goto(self.url)
        expect(self.told("connection")).to_have_text("live")

    def start_anew(self) -> None:
        """As somebody who opens it for the first time."""
        self.page.evaluate("localStorage.clear()")
        self.errors.clear()
        self.requests.clear()
        self.open()

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what only a function can tell."""
        deadline_s = time.monotonic() + PATIENCE_MS / 1000
        while not is_so():
            assert time.monotonic() < deadline_s, "not in time"
            self.page.wait_for_timeout(50)

    def told(self, what: str) -> Locator:
        """What the page says of something."""
        return self.page.locator(f"[data-test={what}]")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def choose(self, label: str, option: str) -> None:
        self.page.get_by_label(label, exact=True).select_option(label=option)

    def type(self, label: str, text: str) -> Locator:
        """Fill a field and press Enter."""
        field = self.page.get_by_label(label)
        field.fill(text)
        field.press("Enter")
        return field

    @property
    def canvas(self) -> Locator:
        return self.page.locator(".screen canvas")

    def sees(self, frame: int) -> None:
        """Wait until it shows a frame."""
        expect(self.told("frame")).to_have_text(f"{frame:,}")

    def place(self, y: float, x: float, shape: tuple[int, int]) -> tuple[float, float]:
        """Where on the canvas a place of a whole frame is: to the right, and down."""
        box = self.canvas.bounding_box()
        assert box is not None
        scale = min(box["height"] / shape[0], box["width"] / shape[1]) * (1 - MARGIN)
        right = (x - shape[1] / 2) * scale + box["width"] / 2
        return right, (y - shape[0] / 2) * scale + box["height"] / 2

    def point_at(self, y: int, x: int, shape: tuple[int, int]) -> None:
        """Move the mouse to the middle of a pixel."""
        right, down = self.place(y + 0.5, x + 0.5, shape)
        self.canvas.hover(position={"x": right, "y": down})

    def drag(self, start: tuple[float, float], stop: tuple[float, float]) -> None:
        """From a place of the canvas to another, as `place` tells them."""
        box = self.canvas.bounding_box()
        assert box is not None
        for step, (right, down) in enumerate((start, stop)):
            self.page.mouse.move(box["x"] + right, box["y"] + down, steps=1 + 3 * step)
            if not step:
                self.page.mouse.down()
        self.page.mouse.up()

    def colour(self, y: int, x: int, shape: tuple[int, int]) -> tuple[int, ...]:
        """The colour in the middle of a pixel of the frame, while all of it is seen."""
        right, down = self.place(y + 0.5, x + 0.5, shape)
        code = """(canvas, [right, down]) => {
            const density = canvas.width / canvas.clientWidth;
            const at = canvas.getContext('2d').getImageData(
                Math.floor(right * density), Math.floor(down * density), 1, 1);
            return [...at.data.slice(0, 3)];
        }"""
        return tuple(self.canvas.evaluate(code, [right, down]))

    def waits_for_colour(
        self, y: int, x: int, shape: tuple[int, int], colour: Sequence[float]
    ) -> None:
        """Wait until a pixel has nearly this colour."""
        self.until(
            lambda: np.allclose(self.colour(y, x, shape), colour, rtol=0, atol=6)
        )


@contextlib.contextmanager
def viewer(browser: Browser, url: str, **options: Any) -> Iterator[Viewer]:
    """A browser of its own; what goes wrong in it fails the test."""
    context = browser.new_context(**options)
    seen = Viewer(context.new_page(), url)
    yield seen
    context.close()
    assert seen.errors == []


def show(sender: Sender, pixels: np.ndarray, **fields: Any) -> int:
    """Send a series of one frame, for live view only; return its index."""
    frame = next(_frames)
    given = {
        "shape": pixels.shape,
        "dtype": pixels.dtype.name,
        "encoding": "none",
        "blobs": (pixels.tobytes(),),
    }
    image = Image(number=None, frame=frame, **given | fields)
    sender.send(Start(), image, End())
    return frame
