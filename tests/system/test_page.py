"""The page, in a browser, with a real service behind it."""

import contextlib
import itertools
import json
import re
import struct
import time

import httpx
import matplotlib
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from websockets.sync.client import connect

from tests.conftest import pick_port
from tests.system.browsing import chromium, show, viewer
from tests.system.sources import sender_on, series

SHAPE = (12, 16)
MASKED = 2**16 - 1
TIMES = "\N{MULTIPLICATION SIGN}"
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def somebody(browser, shared_line):
    with viewer(browser, shared_line[0].url) as seen:
        seen.open()
        yield seen


@pytest.fixture
def look(somebody):
    """Somebody who looks at the service of `line`, as if for the first time."""
    somebody.start_anew()
    yield somebody
    assert somebody.errors == []


@pytest.fixture
def sender(line):
    return line[1]


def ramp(shape=SHAPE, dtype="uint16"):
    """Pixels that are all different."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def with_mask():
    pixels = ramp()
    pixels[0] = MASKED
    return pixels


# -- live ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def eiger(shared_programs):
    """A simulated Eiger, and the service that receives it."""
    simulator = shared_programs.simulator("eiger", "--shape", "514,1030")
    port = simulator.ports["stream_port"]
    entry = {"class": "Eiger", "dcu_port_purple": port}
    return shared_programs.service(entry), f"{simulator.url}/detector/api/1.8.0"


def put(url, key, value=None):
    body = {} if value is None else {"json": {"value": value}}
    httpx.put(f"{url}/{key}", timeout=60, **body).raise_for_status()


def test_a_simulated_eiger_is_seen_live(browser, eiger, shared_programs):
    service, detector = eiger
    file = shared_programs.data / "live.h5"
    for key, value in (("nimages", 30), ("frame_time", 0.1), ("count_time", 0.09)):
        put(detector, f"config/{key}", value)
    with viewer(browser, service.url) as seen:
        seen.open()
        expect(seen.page.get_by_text("No image yet")).to_be_visible()
        armed = httpx.post(
            f"{service.url}/api/v1/acquisitions",
            json={"file": str(file), "expected": 30},
        )
        put(detector, "command/arm")
        put(detector, "command/trigger")
        expect(seen.told("shape")).to_have_text(f"514 {TIMES} 1030 uint16")
        seen.sees(29)
        row = seen.page.locator("tbody tr").first
        expect(row).to_contain_text("done")
        expect(row).to_contain_text("live.h5")
        expect(row).to_contain_text("30 of 30")
        expect(row).to_contain_text("none")
        for count in ("received", "written"):
            expect(seen.told(count)).to_have_text("30")
        expect(seen.told("missing")).to_have_text("0")
        expect(seen.told("state")).to_have_text("idle")
        frames = seen.page.get_by_role("img", name=re.compile("^Frames a second"))
        expect(frames).to_have_attribute("aria-label", re.compile(r"received: \d"))
    assert armed.status_code == 201


def test_what_is_lost_is_told_in_words(look, line, sender, folder):
    start, first, second, third, end = series(str(folder / "lost.h5"), 3)
    sender.send(start, first)
    sender.number += 1  # the second never comes
    sender.send(third, end)
    alert = look.page.get_by_role("alert")
    expect(alert).to_contain_text("not in its file: 1 missing")
    row = look.page.locator("tbody tr").filter(has_text="lost.h5")
    expect(row).to_contain_text("1 missing")
    assert second.frame == 1


def test_an_error_is_told_in_words(look, sender, folder):
    (folder / "folder.h5").mkdir()
    sender.send(*series(str(folder / "folder.h5"), 1))
    expect(look.told("state")).to_have_text("error")
    expect(look.page.get_by_role("alert")).to_contain_text("folder.h5")
    sender.send(*series("", 1))  # the next header ends it
    expect(look.told("state")).to_have_text("idle")


# -- how it looks ----------------------------------------------------------------------

MAPS = {"Viridis": "viridis", "Inferno": "inferno", "Magma": "magma", "Grey": "grey"}


def test_values_have_the_colours_of_the_map(look, sender):
    look.choose("Scale", "Linear")
    look.sees(show(sender, with_mask()))
    look.choose("Range", "Fixed")
    look.type("Lowest value", "0")
    look.type("Highest value", "254")
    expect(look.page.locator(".scale li").last).to_have_text("254")
    for name, theirs in MAPS.items():
        look.choose("Colours", name)
        for y, x in ((1, 0), (6, 5), (11, 15)):
            wanted = matplotlib.colormaps[theirs](with_mask()[y, x] / 254)[:3]
            look.waits_for_colour(y, x, SHAPE, tuple(255 * part for part in wanted))
        mask = as_shown(look.page.locator(".masked .swatch"))
        look.waits_for_colour(0, 3, SHAPE, mask)


def as_shown(swatch):
    text = swatch.evaluate("element => getComputedStyle(element).backgroundColor")
    return tuple(map(int, re.findall(r"\d+", text)))


def test_a_scale_moves_the_middle(look, sender):
    middle = look.page.locator(".scale li").nth(2)
    middles = []
    for scale in ("Linear", "Square root", "Log"):
        look.choose("Scale", scale)
        look.sees(show(sender, with_mask() * 2))
        middles.append(float(middle.inner_text()))
    assert middles == sorted(middles, reverse=True)
    assert middles[2] < middles[0] / 3


def test_percentiles_bound_the_colours(look, sender):
    look.choose("Scale", "Linear")
    look.type("Lowest percentile", "25")
    look.type("Highest percentile", "75")
    look.sees(show(sender, ramp((101, 101))))
    labels = look.page.locator(".scale li")
    expect(labels.first).to_have_text(re.compile(r"^2,[45]\d\d$"))
    expect(labels.last).to_have_text(re.compile(r"^7,[56]\d\d$"))


def test_a_percentile_that_cannot_be_is_marked(look):
    field = look.type("Highest percentile", "120")
    expect(field).to_have_attribute("aria-invalid", "true")


def test_what_is_typed_outlives_the_pictures_that_come_meanwhile(look, sender):
    field = look.page.get_by_label("Highest percentile")
    field.fill("9")
    look.sees(show(sender, ramp()))
    look.sees(show(sender, ramp()))
    field.press("End")
    field.press("0")
    look.sees(show(sender, ramp()))
    expect(field).to_have_value("90")


def test_the_value_under_the_mouse_is_told(look, sender):
    look.sees(show(sender, with_mask()))
    look.point_at(7, 9, SHAPE)
    expect(look.told("pixel")).to_have_text(f"7, 9 = {7 * 16 + 9}")
    look.point_at(0, 9, SHAPE)
    expect(look.told("pixel")).to_have_text("0, 9 = masked")


def test_a_pixel_of_a_channel_is_told_with_its_channel(look, sender):
    look.sees(show(sender, ramp((2, 12, 16))))
    look.point_at(12 + 7, 9, (24, 16))
    told = look.told("pixel")
    expect(told).to_have_text(f"7, 9 of channel 2 = {(12 + 7) * 16 + 9}")


def test_who_pauses_keeps_the_picture(look, sender):
    look.sees(first := show(sender, ramp()))
    look.button("Pause").click()
    expect(look.page.locator(".paused")).to_be_visible()
    look.point_at(7, 9, SHAPE)
    expect(look.told("pixel")).to_have_text(f"7, 9 = {7 * 16 + 9}")
    second = show(sender, ramp() * 2)
    look.point_at(8, 9, SHAPE)  # the service has another frame by now
    expect(look.told("pixel")).to_have_text("8, 9 = not known while paused")
    look.sees(first)
    look.button("Go on").click()
    look.sees(second)


def test_all_can_be_done_with_the_keyboard(look, sender):
    look.sees(show(sender, ramp()))
    look.canvas.focus()
    keys = look.page.keyboard
    keys.press("Shift+ArrowRight")  # from nowhere: to the middle
    expect(look.told("pixel")).to_have_text(f"6, 8 = {6 * 16 + 8}")
    keys.press("Shift+ArrowDown")
    keys.press("Shift+ArrowLeft")
    expect(look.told("pixel")).to_have_text(f"7, 7 = {7 * 16 + 7}")
    expect(look.page.get_by_text("row 7, column 7: 119")).to_be_attached()
    zoom = look.page.locator(".readout")
    keys.press("1")
    expect(zoom).to_contain_text("100 %")
    keys.press("+")
    expect(zoom).to_contain_text("125 %")
    keys.press("-")
    expect(zoom).to_contain_text("100 %")


def test_wheel_zooms_where_the_mouse_is_and_drag_pans(look, sender):
    shape = (400, 600)
    look.sees(show(sender, ramp(shape, "uint32")))
    look.point_at(100, 150, shape)
    look.page.mouse.wheel(0, -800)
    expect(look.told("pixel")).to_have_text(f"100, 150 = {100 * 600 + 150:,}")
    right, down = look.place(100.5, 150.5, shape)
    look.drag((right, down), (right + 40, down + 40))
    expect(look.told("pixel")).to_have_text(f"100, 150 = {100 * 600 + 150:,}")
    look.button("Whole frame").click()
    look.point_at(100, 150, shape)
    expect(look.told("pixel")).to_have_text(f"100, 150 = {100 * 600 + 150:,}")


def test_a_zoomed_picture_has_every_pixel_of_a_large_frame(look, sender):
    shape = (3000, 3000)
    pixels = np.zeros(shape, "uint16")
    pixels[1500, 1500] = 1000  # lost in a smaller picture
    look.choose("Colours", "Grey")
    look.choose("Scale", "Linear")
    look.sees(show(sender, pixels))
    look.canvas.focus()
    for _ in range(30):
        look.page.keyboard.press("+")
    expect(look.page.locator(".readout")).to_contain_text("6400 %")
    frame = show(sender, pixels)
    look.sees(frame)
    # a pixel is 64 wide: two of them, to the right of the middle
    look.until(lambda: sum(beside_the_middle(look, 32)) > 600)
    assert sum(beside_the_middle(look, 96)) < 300


def beside_the_middle(look, right):
    code = """(canvas, right) => [...canvas.getContext('2d').getImageData(
        canvas.width / 2 + right, canvas.height / 2 + 32, 1, 1).data.slice(0, 3)]"""
    return look.canvas.evaluate(code, right)


def test_two_fingers_zoom_on_a_phone(browser, line, sender):
    with viewer(browser, line[0].url, **PHONE) as seen:
        seen.open()
        seen.sees(show(sender, ramp((400, 600), "uint32")))
        zoom = seen.page.locator(".readout dd").last
        before = float(zoom.inner_text().split()[0])
        pinch(seen)
        expect(zoom).not_to_have_text(f"{before:.0f} %")
        assert float(zoom.inner_text().split()[0]) > 1.5 * before
        width = "document.documentElement.scrollWidth"
        assert seen.page.evaluate(width) <= 390  # nothing stands out to the right


def pinch(seen):
    box = seen.canvas.bounding_box()
    y, x = box["y"] + box["height"] / 2, box["x"] + box["width"] / 2
    devtools = seen.page.context.new_cdp_session(seen.page)
    for kind, apart in (("touchStart", 30), ("touchMove", 60), ("touchMove", 90)):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


# -- regions and histogram -------------------------------------------------------------


def test_a_region_is_dragged_and_its_sum_followed(look, sender):
    look.sees(show(sender, with_mask()))
    look.button("Region").click()
    look.drag(look.place(0.5, 2.5, SHAPE), look.place(4.5, 6.5, SHAPE))
    wanted = with_mask()[1:5, 2:7].sum()  # the first row is masked
    told = look.page.locator("[data-region=A]")
    expect(told).to_have_text(f"Σ {wanted:,} · max {4 * 16 + 6}")
    plot = look.page.get_by_role("img", name=re.compile("^Sum of each region"))
    look.sees(show(sender, ramp() * 2))
    doubled = 2 * ramp()[0:5, 2:7].sum()
    expect(told).to_contain_text(f"Σ {doubled:,}")
    expect(plot).to_have_attribute("aria-label", re.compile(r"A: 2 k|A: 1\.\d k"))
    look.type("Region A, from row", "3")
    expect(told).to_contain_text(f"Σ {2 * ramp()[3:5, 2:7].sum():,}")
    look.button("Remove region A").click()
    expect(told).to_have_count(0)


def test_a_region_is_added_with_the_keyboard(look, sender):
    look.sees(show(sender, ramp()))
    look.button("Add region").focus()
    look.page.keyboard.press("Enter")
    expect(look.page.get_by_role("button", name="Remove region A")).to_be_visible()


def test_the_histogram_counts_every_pixel(look, sender):
    look.sees(show(sender, with_mask()))
    histogram = look.told("histogram")
    expect(histogram).to_have_text("176 pixels from 16 to 192, 16 masked")


# -- bad input -------------------------------------------------------------------------

NAN = float("nan")
ODD = {
    "float": (np.linspace(-1.5, 2.5, 192, dtype="f4").reshape(SHAPE), "-1.5"),
    "signed": (ramp(dtype="int32") - 2, "masked"),
    "all masked": (np.full(SHAPE, MASKED, "uint16"), "masked"),
    "nothing but NaN": (np.full(SHAPE, NAN, "float32"), "masked"),
    "infinite": (np.full(SHAPE, np.inf, "float64"), "masked"),
    "all alike": (np.full(SHAPE, 7, "uint8"), "7"),
    "nothing but zeros": (np.zeros(SHAPE, "uint32"), "0"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_frames_are_shown(look, sender, kind):
    pixels, first = ODD[kind]
    look.sees(show(sender, pixels))
    expect(look.told("shape")).to_have_text(f"12 {TIMES} 16 {pixels.dtype.name}")
    look.point_at(0, 0, SHAPE)
    expect(look.told("pixel")).to_have_text(f"0, 0 = {first}")
    mask = as_shown(look.page.locator(".masked .swatch"))
    look.until(lambda: (look.colour(0, 0, SHAPE) == mask) == (first == "masked"))


def test_a_frame_that_cannot_be_read_is_told_and_the_next_is_shown(look, sender):
    look.sees(show(sender, ramp()))
    show(sender, ramp(), encoding="bslz4", blobs=(b"no bslz4 at all",))
    expect(look.page.get_by_text("The last frame cannot be shown")).to_be_visible()
    look.sees(show(sender, ramp()))
    expect(look.page.get_by_text("cannot be shown")).to_have_count(0)


def test_a_frame_of_16_megapixels_is_shown(look, sender):
    pixels = ramp((4096, 4096), "uint32")
    look.sees(show(sender, pixels))
    look.point_at(2048, 2048, pixels.shape)
    told = look.told("pixel")
    expect(told).to_have_text(re.compile(r"^\d+, \d+ = [\d,]+$"))
    place, value = told.inner_text().split(" = ")
    y, x = map(int, place.split(", "))
    assert int(value.replace(",", "")) == pixels[y, x]


def test_another_shape_is_shown_whole(look, sender):
    look.sees(show(sender, ramp((300, 300))))
    look.button("Actual size").click()
    look.sees(show(sender, with_mask()))
    look.point_at(11, 15, SHAPE)
    expect(look.told("pixel")).to_have_text(f"11, 15 = {191}")


# -- what happens to connections -------------------------------------------------------


def test_it_recovers_from_a_restart_of_the_service(browser, shared_programs):
    port = pick_port()
    entry = {"dcu_port_purple": port, "api_port": pick_port()}
    with sender_on(port) as sender:
        first = shared_programs.service(entry)
        with viewer(browser, first.url) as seen:
            seen.open()
            seen.sees(show(sender, ramp()))
            first.kill()
            alert = seen.page.get_by_role("alert")
            expect(alert).to_contain_text("Service not reachable, trying again")
            expect(seen.told("connection")).to_have_text("not reachable")
            shared_programs.service(entry)
            expect(seen.told("connection")).to_have_text("live")
            expect(alert).to_be_empty()
            sender.number = 0
            seen.sees(show(sender, ramp()))


def test_a_page_that_nobody_sees_asks_for_nothing_and_wakes_up(look, sender):
    look.sees(show(sender, ramp()))
    closed = []
    look.page.on(
        "websocket", lambda socket: socket.on("close", lambda it: closed.append(it))
    )
    look.page.reload()
    look.sees(show(sender, ramp()))
    hide(look.page, is_hidden=True)
    expect(look.told("connection")).to_have_text("asleep")
    asked = len(look.requests)
    frame = show(sender, ramp())
    look.page.wait_for_timeout(1500)
    assert len(look.requests) == asked
    assert len(closed) == 1
    hide(look.page, is_hidden=False)
    expect(look.told("connection")).to_have_text("live")
    look.sees(frame)


def hide(page, *, is_hidden):
    """As when another tab is chosen: a browser without windows has no other way."""
    page.evaluate(
        """isHidden => {
            Object.defineProperty(document, 'hidden', {configurable: true,
                get: () => isHidden});
            document.dispatchEvent(new Event('visibilitychange'));
        }""",
        is_hidden,
    )


def test_a_page_that_was_frozen_goes_on(look, sender):
    look.sees(show(sender, ramp()))
    devtools = look.page.context.new_cdp_session(look.page)
    devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    for _ in range(20):
        frame = show(sender, ramp())
    devtools.send("Page.setWebLifecycleState", {"state": "active"})
    look.sees(frame)


def test_twenty_viewers_see_the_same(look, line, sender):
    url = line[0].url.replace("http", "ws") + "/api/v1/view"
    how = {"subprotocols": ["srx.view"], "compression": None, "max_size": None}
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(connect(url, **how)) for _ in range(19)]
        frame = show(sender, ramp())
        look.sees(frame)
        for other in others:
            assert any(frame_in(other.recv(60)) == frame for _ in itertools.count())


def frame_in(message):
    """The index of the frame in a binary message of the view; None in another."""
    if isinstance(message, str):
        return None
    (length,) = struct.unpack_from("<I", message)
    return json.loads(message[4 : 4 + length])["header"]["frame"]


def test_a_slow_link_gets_smaller_pictures(browser, line, sender):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 1000, (1500, 1500)).astype("uint16")
    with viewer(browser, line[0].url) as seen:
        seen.open()
        seen.choose("At most", "20 Hz")
        seen.sees(show(sender, pixels))
        sizes = []
        seen.page.on(
            "websocket",
            lambda socket: socket.on(
                "framereceived",
                lambda data: isinstance(data, bytes) and sizes.append(len(data)),
            ),
        )
        devtools = seen.page.context.new_cdp_session(seen.page)
        devtools.send("Network.enable")
        slow = {"offline": False, "latency": 50, "uploadThroughput": 50_000}
        slow["downloadThroughput"] = 300_000
        devtools.send("Network.emulateNetworkConditions", slow)
        seen.page.reload()
        deadline_s = time.monotonic() + 80
        while not (sizes and sizes[-1] < max(sizes) / 2):
            assert time.monotonic() < deadline_s, f"never smaller: {sizes}"
            frame = show(sender, pixels)
            seen.page.wait_for_timeout(200)
        seen.sees(frame)


# -- who may ---------------------------------------------------------------------------


def test_a_token_is_asked_for_and_kept_for_the_session(browser, programs):
    programs.environment["SRX_API_TOKEN"] = "read:s3cret-?>~"
    port = pick_port()
    service = programs.service({"dcu_port_purple": port, "protect_reads": True})
    with sender_on(port) as sender, viewer(browser, service.url) as seen:
        seen.page.goto(seen.url)
        field = seen.page.get_by_label("This service asks for a token.")
        field.fill("wrong")
        field.press("Enter")
        expect(seen.page.get_by_label("This token is not accepted.")).to_be_visible()
        seen.page.locator("input[name=token]").fill("s3cret-?>~")
        seen.button("Use token").click()
        expect(seen.told("connection")).to_have_text("live")
        seen.sees(show(sender, ramp()))
        seen.page.reload()
        expect(seen.told("connection")).to_have_text("live")


def test_nothing_is_asked_of_anybody_else(look, line, sender):
    look.sees(show(sender, ramp()))
    assert look.requests
    assert [url for url in look.requests if not url.startswith(line[0].url)] == []


# -- for everybody ---------------------------------------------------------------------

SURROUNDINGS = {"light": {}, "dark phone": {"color_scheme": "dark", **PHONE}}


@pytest.mark.parametrize("where", SURROUNDINGS)
def test_axe_finds_nothing_that_shuts_people_out(browser, line, sender, where):
    with viewer(browser, line[0].url, **SURROUNDINGS[where]) as seen:
        seen.open()
        seen.sees(show(sender, with_mask()))
        seen.button("Add region").click()
        expect(seen.page.locator("[data-region=A]")).to_contain_text("Σ")
        found = Axe().run(seen.page)
    assert found.violations_count == 0, found.generate_report()


def test_the_page_is_light_or_dark_as_the_browser_is(look):
    code = "getComputedStyle(document.body).backgroundColor"
    backs = {}
    for scheme in ("light", "dark"):
        look.page.emulate_media(color_scheme=scheme)
        backs[scheme] = sum(map(int, re.findall(r"\d+", look.page.evaluate(code))))
    look.page.emulate_media(color_scheme="null")
    assert backs["light"] > 600
    assert backs["dark"] < 100


def test_who_wants_no_motion_gets_none(look):
    code = """() => [...document.styleSheets[0].cssRules].some(
        rule => rule.conditionText?.includes('reduced-motion')) &&
        getComputedStyle(document.querySelector('.keys')).transitionProperty"""
    look.page.emulate_media(reduced_motion="reduce")
    assert look.page.evaluate(code) == "none"
    look.page.emulate_media(reduced_motion="no-preference")
    assert look.page.evaluate(code) == "opacity"


def test_every_control_is_reached_with_the_tab_key(look, sender):
    look.sees(show(sender, ramp()))
    reached = set()
    for _ in range(40):
        look.page.keyboard.press("Tab")
        code = "document.activeElement?.getAttribute('aria-label') ?? ''"
        reached.add(look.page.evaluate(code))
    wanted = {"Pause", "Region", "Zoom in", "Zoom out", "Whole frame", "Actual size"}
    assert wanted <= reached
    assert any(label.startswith("Live image") for label in reached)
