import functools
import io
import pickle
import pickletools
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srx_service.codecs.arrays_pickle import (
    MAX_ARRAYS,
    MAX_INSTRUCTIONS,
    MAX_PICKLE_BYTES,
    Reader,
    dump,
    load,
)

ARRAYS = [
    np.linspace(0, 1, 4),
    np.array([0, 1, 2**32 - 1], np.uint32),
    np.array([-1, 5], np.int32),
    np.arange(8, dtype=np.uint64).reshape(2, 4),
    np.array([True, False]),
    np.array([1.5], np.float16),
]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Sneaky:
    """Pickled as a call of whatever it is made with."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def sneaky(function, *arguments, protocol=4):
    return pickle.dumps([Sneaky(function, *arguments)], protocol=protocol)


def refusal(raw):
    with pytest.raises(ValueError, match=r"\w") as refused:
        load(raw)
    assert len(str(refused.value)) < 400
    return str(refused.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_are_what_was_pickled_in_any_protocol(protocol):
    found = load(pickle.dumps(ARRAYS, protocol=protocol))
    for array, original in zip(found, ARRAYS, strict=True):
        assert array.dtype == original.dtype
        assert np.array_equal(array, original)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_lies_otherwise_in_memory_is_put_in_order(protocol):
    columns = np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3))
    big, strided = np.arange(4, dtype=">u4"), np.arange(8.0)[::2]
    found = load(pickle.dumps([columns, big, strided], protocol=protocol))
    assert [array.tolist() for array in found] == [
        columns.tolist(),
        big.tolist(),
        strided.tolist(),
    ]
    assert [array.dtype.str for array in found] == ["<i4", "<u4", "<f8"]


def test_what_is_dumped_is_what_numpy_makes_of_it():
    assert pickle.loads(dump(ARRAYS))[3].tolist() == ARRAYS[3].tolist()
    assert [array.tolist() for array in load(dump(ARRAYS))] == [
        array.tolist() for array in ARRAYS
    ]


def test_a_list_may_be_empty_and_a_part_may_be_a_view():
    assert load(memoryview(dump([]))) == []


def test_old_names_of_numpys_modules_are_known():
    raw = dump(ARRAYS[:1]).replace(b"\x8c\x16numpy._core", b"\x8c\x15numpy.core")
    raw = raw[:3] + struct.pack("<Q", len(raw) - 11) + raw[11:]
    assert b"numpy.core.multiarray" in raw
    assert load(raw)[0].tolist() == ARRAYS[0].tolist()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (print, ("never",)),
        (eval, ("1/0",)),
        (getattr, ("a", "upper")),
        (bytes, (10**12,)),
        (bytearray, (10**12,)),
        (functools.partial, (print,)),
        (np.load, ("/etc/passwd",)),
        (np.memmap, ("/etc/passwd",)),
        (np.zeros, (10**12,)),
        (np.frombuffer, (b"1234",)),
        (np.ndarray, ((10**12,),)),
        (np.dtype, ("O",)),
        (np.dtype, ("V1000000000",)),
        (np.dtype, ([("a", "f8")],)),
        (pickle.loads, (b"N.",)),
        (io.BytesIO, (b"",)),
    ],
)
def test_a_call_of_anything_else_is_refused(function, arguments, protocol):
    refusal(sneaky(function, *arguments, protocol=protocol))


@pytest.mark.parametrize("name", [b"os\nsystem", b"posix\nsystem", b"builtins\nexec"])
def test_a_name_is_refused_before_it_is_looked_up(name):
    assert "not allowed" in refusal(b"c" + name + b"\n(Vtrue\ntR.")


@pytest.mark.parametrize(
    "items",
    [
        np.array([1, "a", None], object),
        np.array(["a"]),
        np.array([b"a"]),
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        np.array(["2024-01-01"], "M8[s]"),
        np.array([1j]),
        np.zeros(0),
        np.array([1], np.longdouble),
        np.ma.array([1.0, 2.0], mask=[0, 1]),
        np.rec.array([(1,)], dtype=[("a", "i4")]),
        np.float64(1.5),
        None,
        5,
        "text",
        b"bytes",
        {"a": 1},
        {1},
        (1,),
        [np.zeros(2)],
        1 << 100,
    ],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_anything_but_an_array_of_numbers_is_refused(items, protocol):
    refusal(pickle.dumps([items], protocol=protocol))


@pytest.mark.parametrize("items", [None, 5, {}, (np.zeros(1),), np.zeros(3), "text"])
def test_anything_but_a_list_is_refused(items):
    refusal(pickle.dumps(items))


def test_an_array_of_another_class_is_refused():
    raw = dump([np.zeros(3)]).replace(b"\x8c\x07ndarray", b"\x8c\x07nditer_")
    assert "'numpy.nditer_' is not allowed" in refusal(raw)


def test_pixels_out_of_band_are_refused():
    raw = pickle.dumps([np.arange(4.0)], protocol=5, buffer_callback=lambda _: False)
    assert "NEXT_BUFFER" in refusal(raw)


def test_a_persistent_id_is_refused():
    assert "PERSID" in refusal(b"(lPname\na.")


def test_an_extension_code_is_refused():
    assert "EXT1" in refusal(b"(l\x82\x01a.")


REBUILD = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
DTYPE = b"cnumpy\ndtype\n(Vf8\nI0\nI1\ntR"


def state(shape, raw=b"c_codecs\nencode\n(V12345678\nVlatin1\ntR"):
    """Return instructions that build an array with a shape; its pixels are a float."""
    return b"(I1\n(" + shape + b"t" + DTYPE + b"I00\n" + raw + b"tb"


def rebuilt(shape=b"I1\n", first=b"(I0\nt", **others):
    return b"(l" + REBUILD + first + b"I0\ntR" + state(shape, **others) + b"a."


def test_an_array_that_is_written_by_hand_is_read():
    assert load(rebuilt())[0].tobytes() == b"12345678"


@pytest.mark.parametrize(
    "raw",
    [
        rebuilt(b"I1000000000\n"),
        rebuilt(b"I65536\nI65536\nI65536\nI65536\n"),
        rebuilt(b"I-1\n"),
        rebuilt(b"I0\n"),
        rebuilt(b"I0\nI1000000000\n"),
        rebuilt(b"I01\n"),
        rebuilt(b"V1\n"),
        rebuilt(b"I1\n" * 9),
        rebuilt(b"I1\n" * 1000),
        rebuilt(raw=b"V12345678\n"),
        rebuilt(raw=DTYPE),
        rebuilt(raw=b"c_codecs\nencode\n(V12345678\nVrot13\ntR"),
        rebuilt(raw=b"c_codecs\nencode\n(V12345678\nVutf-16\ntR"),
    ],
)
def test_a_shape_that_its_pixels_do_not_fill_is_refused(raw):
    refusal(raw)


def traced_peak(act):
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


GREEDY = {
    "shape told to the constructor": rebuilt(b"I2\n", first=b"(I1000000000\nt"),
    "shape told to the state": rebuilt(b"I1000000000\n"),
    "place in a table": b"\x80\x04]r\xff\xff\xff\x7f.",
    "place in a table, protocol 0": b"(lp2147483647\n.",
    "negative place": b"(lp-1\n.",
    "bytes that are not there": b"\x80\x04B\xff\xff\xff\x7fabc.",
    "bytes of 8 bytes' length": b"\x80\x05\x8e" + b"\xff" * 7 + b"\x7f" + b"abc.",
    "byte array": b"\x80\x05\x96" + b"\xff" * 6 + b"\x00\x00" + b"abc.",
    "text that is not there": b"\x80\x04X\xff\xff\xff\x7fabc.",
    "frame that is not there": b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f" + b"].",
    "long number": b"\x80\x04\x8b\xff\xff\xff\x7f" + b"1.",
    "digits": b"I" + b"9" * 60_000 + b"\n.",
    "laughs": b"(l" + b"(lp0\n" + b"g0\ng0\ng0\n" * 1000 + b".",
    "tuples in one another": b"\x80\x04]" + b")" + b"\x85" * 4000 + b"a.",
    "deep lists": b"\x80\x04" + b"]" * 4000 + b"a" * 3999 + b".",
    "doubling": b"\x80\x04]" + b"2" * 4000 + b".",
    "a list that holds itself": b"\x80\x04]\x94h\x00a.",
    "instructions without end": b"\x80\x04]" + b"N" * 60_000 + b".",
}


@pytest.mark.parametrize("raw", GREEDY.values(), ids=GREEDY)
def test_nothing_is_allocated_because_a_pickle_says_so(raw):
    assert len(raw) < MAX_PICKLE_BYTES
    peak = traced_peak(lambda: _refused_or_small(raw))
    assert peak < 8 << 20


def _refused_or_small(raw):
    try:
        found = load(raw)
    except ValueError:
        return
    assert sum(array.nbytes for array in found) <= len(raw)


def test_a_long_pickle_is_not_looked_at():
    raw = bytes(100_000_000)
    assert traced_peak(lambda: refusal(raw)) < 1 << 20


def test_the_number_of_arrays_is_bounded():
    assert len(load(dump([np.zeros(1)] * MAX_ARRAYS))) == MAX_ARRAYS
    refusal(dump([np.zeros(1)] * (MAX_ARRAYS + 1)))


def test_one_array_named_many_times_counts_many_times():
    many = [np.zeros(1000)] * 20
    assert len(dump(many)) < MAX_PICKLE_BYTES < 20 * 8000
    assert "bytes" in refusal(dump(many))


def test_the_number_of_instructions_is_bounded():
    few = b"\x80\x04]" + b"\x94" * (MAX_INSTRUCTIONS - 3) + b"."
    assert load(few) == []
    assert "instructions" in refusal(few[:-1] + b"\x94.")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_cut_pickle_is_refused_wherever_it_is_cut(protocol):
    raw = pickle.dumps(ARRAYS[:2], protocol=protocol)
    for length in range(len(raw)):
        refusal(raw[:length])


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(raw):
    _refused_or_small(raw)


@given(st.sampled_from(PROTOCOLS), st.data())
def test_a_pickle_with_one_wrong_byte_is_refused_or_read(protocol, data):
    raw = bytearray(pickle.dumps(ARRAYS[:3], protocol=protocol))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    _refused_or_small(bytes(raw))


# --- pickles that follow one another


def outcome(load_one, raw):
    try:
        return [(a.dtype.str, a.shape, a.tobytes()) for a in load_one(raw)]
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickles_of_a_stream_are_each_read_as_they_are(protocol):
    reader = Reader()
    for k in range(5):
        arrays = [np.full(4, k, "f8"), np.full((2, 4), 3 * k, "u4"), np.full(1, -k)]
        found = reader.load(pickle.dumps(arrays, protocol=protocol))
        assert [a.tolist() for a in found] == [a.tolist() for a in arrays]
        assert [a.dtype for a in found] == [a.dtype for a in arrays]


LIKE = {
    "in another order": np.asfortranarray,
    "of another byte order": lambda array: array.astype(">u4"),
    "of another type": lambda array: array.astype("i4"),
    "of another shape": lambda array: array.reshape(4, 2),
    "plain": lambda array: array,
}


@pytest.mark.parametrize("first", LIKE)
@pytest.mark.parametrize("later", LIKE)
def test_a_stream_may_change(first, later):
    reader = Reader()
    zeros, numbers = np.zeros((2, 4), "u4"), np.arange(8, dtype="u4").reshape(2, 4)
    for array in (LIKE[first](zeros), LIKE[later](numbers), LIKE[first](numbers)):
        raw = dump([array, array + 1])
        assert outcome(reader.load, raw) == outcome(load, raw)


@given(st.sampled_from(PROTOCOLS), st.data())
def test_what_a_reader_has_read_before_changes_nothing(protocol, data):
    raw = pickle.dumps(ARRAYS[:3], protocol=protocol)
    reader = Reader()
    reader.load(raw)
    broken = bytearray(raw)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        broken[at] = data.draw(st.integers(0, 255))
    assert outcome(reader.load, bytes(broken)) == outcome(load, bytes(broken))


OPCODES = [op.code.encode("latin1") for op in pickletools.opcodes]


@given(st.lists(st.sampled_from(OPCODES) | st.binary(max_size=4), max_size=60))
def test_any_instructions_are_refused_or_read(pieces):
    _refused_or_small(b"\x80\x04]\x94" + b"".join(pieces) + b".")
