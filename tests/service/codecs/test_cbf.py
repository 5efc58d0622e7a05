import fabio
import numpy as np
import pytest
from fabio.ext import byte_offset
from hypothesis import given, settings
from hypothesis import strategies as st

from srx_service.codecs import cbf

RNG = np.random.default_rng(4)
COUNTS = RNG.poisson(3, (43, 37)).astype(np.int32)
COUNTS[5, 7:12] = -1
COUNTS[20, ::9] = [1000, 70_000, 10**9, -(10**9), -2]
BLOB = cbf.encode(COUNTS)
START = BLOB.index(cbf.MARKER) + len(cbf.MARKER)


def file(packed, shape, **fields):
    """A file with these packed bytes; what fields say instead, or None: not at all."""
    text = BLOB[:START]
    told = {
        "X-Binary-Size": len(packed),
        "X-Binary-Number-of-Elements": int(np.prod(shape)),
        "X-Binary-Size-Fastest-Dimension": shape[-1],
        "X-Binary-Size-Second-Dimension": shape[-2] if len(shape) > 1 else None,
    } | {name.replace("_", "-"): value for name, value in fields.items()}
    lines = text.split(b"\r\n")
    for name, value in told.items():
        begin = f"{name}:".encode().lower()
        at = next(k for k, line in enumerate(lines) if line.lower().startswith(begin))
        lines[at : at + 1] = [] if value is None else [f"{name}: {value}".encode()]
    return b"\r\n".join(lines) + packed + bytes(64)


def packed(*changes):
    """Byte offsets as they are: (width, value) with all escapes before it."""
    escapes = {1: b"", 2: b"\x80", 4: b"\x80\x00\x80"}
    escapes[8] = escapes[4] + b"\x00\x00\x00\x80"
    return b"".join(
        escapes[width] + value.to_bytes(width, "little", signed=True)
        for width, value in changes
    )


PICTURES = {
    "counts": COUNTS,
    "one pixel": np.array([[5]], np.int32),
    "nothing": np.zeros((3, 100), np.int32),
    "limits of a byte": np.cumsum([127, -127, 128, -128, 129] * 9).astype(np.int32),
    "limits of 16 bits": np.cumsum([32767, -32767, 32768, -32768] * 9).astype("i4"),
    "limits of 32 bits": np.array([2**31 - 1, -(2**31), 0, -1] * 9, np.int32),
    "all bits": RNG.integers(-(2**31), 2**31, (31, 17)).astype(np.int32),
    "high counts": RNG.poisson(9000, (64, 65)).astype(np.int32),
    "a stack": np.arange(4 * 5 * 6, dtype=np.int32).reshape(4, 5, 6) * 99,
}
FOR_FABIO = [name for name in PICTURES if name not in ("limits of 32 bits", "all bits")]
"""Its differences have 32 bits, and wrap."""


@pytest.mark.parametrize("pixels", PICTURES.values(), ids=PICTURES)
def test_pixels_come_back(pixels):
    found = cbf.decode(memoryview(cbf.encode(pixels)), pixels.shape)
    assert (found.dtype, found.shape) == (np.int32, pixels.shape)
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("name", FOR_FABIO)
def test_fabio_unpacks_what_we_pack(name):
    flat = PICTURES[name].reshape(-1)
    ours = cbf._pack(flat.astype(np.int64))
    assert np.array_equal(byte_offset.dec_cbf32(ours, flat.size), flat)


@pytest.mark.parametrize("name", FOR_FABIO)
def test_we_unpack_what_fabio_packs(name):
    pixels = PICTURES[name]
    blob = file(bytes(byte_offset.comp_cbf32(pixels.reshape(-1))), pixels.shape)
    assert np.array_equal(cbf.decode(blob, pixels.shape), pixels)


def test_fabio_reads_our_file(tmp_path):
    path = tmp_path / "a.cbf"
    path.write_bytes(BLOB)
    with fabio.open(path) as opened:
        assert np.array_equal(opened.data, COUNTS)
        assert "0.1 s" in opened.header["_array_data.header_contents"]


def test_we_read_the_file_of_fabio(tmp_path):
    fabio.cbfimage.CbfImage(data=COUNTS).write(tmp_path / "a.cbf")
    blob = (tmp_path / "a.cbf").read_bytes()
    assert np.array_equal(cbf.decode(blob, COUNTS.shape), COUNTS)


def test_field_names_may_be_in_any_case_and_lines_end_in_lf():
    head = BLOB[:START].replace(b"X-Binary", b"x-BINARY").replace(b"x-CBF_", b"X-cbf_")
    blob = head.replace(b"\r\n", b"\n") + BLOB[START:]
    assert np.array_equal(cbf.decode(blob, COUNTS.shape), COUNTS)


def test_dimensions_need_not_be_told():
    names = ["Number_of_Elements", "Size_Fastest_Dimension", "Size_Second_Dimension"]
    blob = file(
        packed((1, 7), (1, 1)), (1, 2), **{f"X_Binary_{n}": None for n in names}
    )
    assert cbf.decode(blob, (2, 1)).tolist() == [[7], [8]]


@pytest.mark.parametrize("text", ['conversions="x-CBF_NONE"', ""])
def test_pixels_that_are_not_packed_are_read_as_they_are(text):
    blob = file(COUNTS.tobytes(), COUNTS.shape)
    blob = blob.replace(b'conversions="x-CBF_BYTE_OFFSET"', text.encode(), 1)
    assert np.array_equal(cbf.decode(blob, COUNTS.shape), COUNTS)


BROKEN = {
    "empty": (b"", (2, 2), "no marker"),
    "no marker": (BLOB.replace(cbf.MARKER, b"xxxx"), COUNTS.shape, "no marker"),
    "marker too late": (b"#" * cbf.MAX_TEXT_BYTES + BLOB, COUNTS.shape, "no marker"),
    "marker alone": (cbf.MARKER, (1, 1), "X-Binary-Size is missing"),
    "tif": (b"II*\x00" + COUNTS.tobytes(), COUNTS.shape, r"begin with b'II\*"),
    "no size": (file(b"1", (1, 1), X_Binary_Size=None), (1, 1), "is missing"),
    "negative size": (file(b"1", (1, 1), X_Binary_Size=-1), (1, 1), "is no number"),
    "no number": (file(b"1", (1, 1), X_Binary_Size="1e3"), (1, 1), "is no number"),
    "huge size": (file(b"1", (1, 1), X_Binary_Size="9" * 40), (1, 1), "is no number"),
    "size beyond the blob": (BLOB[:-5000], COUNTS.shape, "bytes follow the marker"),
    "other shape": (BLOB, COUNTS.T.shape, "Fastest-Dimension 37, shape"),
    "fewer pixels": (BLOB, (43, 36), "Number-of-Elements 1591, shape"),
    "one axis": (BLOB, (43 * 36,), "Number-of-Elements"),
    "unsigned": (
        file(b"1", (1, 1), X_Binary_Element_Type='"unsigned 16-bit integer"'),
        (1, 1),
        "allowed is 'signed 32-bit integer'",
    ),
    "big-endian": (
        file(b"1", (1, 1), X_Binary_Element_Byte_Order="BIG_ENDIAN"),
        (1, 1),
        "byte-order",
    ),
    "base64": (
        file(b"1", (1, 1), Content_Transfer_Encoding="BASE64"),
        (1, 1),
        "transfer-encoding",
    ),
    "other packing": (
        BLOB.replace(b"x-CBF_BYTE_OFFSET", b"x-CBF_PACKED"),
        COUNTS.shape,
        "conversions 'x-CBF_PACKED'",
    ),
    "plain, of the wrong size": (
        BLOB.replace(b"x-CBF_BYTE_OFFSET", b"x-CBF_NONE"),
        COUNTS.shape,
        "not packed",
    ),
    "too few": (file(packed((1, 1)), (1, 2)), (1, 2), "make 1 pixels, not 2"),
    "nothing": (file(b"", (1, 2)), (1, 2), "make 0 pixels, not 2"),
    "too many": (file(packed((1, 1), (1, 1)), (1, 1)), (1, 1), "take 1 bytes"),
    "cut 16": (file(packed((2, 300))[:2], (1, 1)), (1, 1), "end within pixel 0 of 1"),
    "cut 32": (file(packed((4, 1 << 20))[:6], (1, 1)), (1, 1), "end within pixel 0"),
    "cut 64": (file(packed((8, 1 << 31))[:14], (1, 1)), (1, 1), "end within pixel 0"),
    "above": (file(packed((8, 1 << 31)), (1, 1)), (1, 1), "pixel 0 of 1 is 2147483648"),
    "far above": (file(packed((8, 2**63 - 1)), (1, 1)), (1, 1), "32 bits with sign"),
    "below": (
        file(packed((4, -(2**31) + 1), (1, -1), (1, -1)), (1, 3)),
        (1, 3),
        "pixel 2 of 3 is -2147483649",
    ),
    "creeping above": (
        file(packed((4, 2**31 - 1000), *[(1, 127)] * 31), (1, 32)),
        (1, 32),
        "pixel 8 of 32 is",
    ),
}


@pytest.mark.parametrize(("blob", "shape", "text"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_refused_and_told(blob, shape, text):
    with pytest.raises(ValueError, match=text) as refused:
        cbf.decode(blob, shape)
    assert 20 < len(str(refused.value)) < 1200


def test_the_cause_of_an_escape_in_the_last_sixteen_bytes_is_found():
    for count in range(1, 40):
        changes = [(1, 1)] * count
        changes[-1] = (2, 999)
        blob = file(packed(*changes), (1, count))
        assert cbf.decode(blob, (1, count))[0, -1] == count - 1 + 999


def test_nothing_is_written_behind_the_output():
    changes = packed(*[(1, 1)] * 400)
    whole = np.full(200, -7, np.int32)
    from srx_service.codecs import kernels

    source = np.frombuffer(changes, np.uint8)
    for count in range(100):
        whole[:] = -7
        assert kernels.byte_offsets(source, whole[:count]) == (count, count, count)
        assert set(whole[count:]) == {-7}


def reference(source, count):
    """Byte offsets without a trick: the pixels, or None where they are broken."""
    at, value, pixels = 0, 0, []
    while len(pixels) < count and at < len(source):
        for width in (1, 2, 4, 8):
            raw = source[at : at + width]
            if len(raw) < width:
                return None
            change = int.from_bytes(raw, "little", signed=True)
            at += width
            if width == 8 or change != -(1 << (8 * width - 1)):
                break
        value += change
        if not -(2**31) <= value < 2**31:
            return None
        pixels.append(value)
    return pixels if at == len(source) and len(pixels) == count else None


@settings(max_examples=1000)
@given(
    st.binary(max_size=60) | st.lists(st.sampled_from(b"\x80\x00\x01\xff")).map(bytes)
)
def test_any_bytes_are_read_as_the_reference_reads_them(source):
    for count in (1, len(source), max(1, len(source) - 2)):
        expected = reference(source, count)
        try:
            found = cbf.decode(file(source, (1, count)), (1, count)).tolist()[0]
        except ValueError:
            found = None
        assert found == expected


@settings(max_examples=1000)
@given(st.data())
def test_damaged_files_are_refused_or_read(data):
    blob = bytearray(BLOB)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(START - 900, len(blob) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert"])):
            case "flip":
                blob[at] = data.draw(st.integers(0, 255))
            case "cut":
                del blob[at : at + data.draw(st.integers(1, 50))]
            case _:
                blob[at:at] = data.draw(st.binary(max_size=20))
    try:
        found = cbf.decode(bytes(blob), COUNTS.shape)
    except ValueError as error:
        assert str(error).startswith("cbf: ")  # noqa: PT017 - either is allowed
    else:
        assert found.shape == COUNTS.shape
