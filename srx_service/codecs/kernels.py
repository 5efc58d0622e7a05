"""Loops over every byte or pixel, compiled by numba when this module is imported.

They run without the GIL, on one core each, and check every index against the sizes of
their arrays. All are in this one file: numba keeps what it compiled in a folder beside
it, and compiles anew when this file changes.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.base import BaseContext
from numba.core.errors import NumbaError
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

logger = logging.getLogger(__name__)
# At DEBUG it logs every step of every compilation, some 10,000 lines.
logging.getLogger("numba").setLevel(logging.WARNING)

Integer = int | np.int64

LANES = 16
"""Bytes that are decoded at once: one register of SSE2 or NEON."""
ESCAPE = -128
"""A difference of this says: it did not fit, a wider one follows."""
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
_REACH = LANES * 128
"""Sixteen differences of a byte change a value by less than this."""

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_PIXELS = types.Array(types.int32, 1, "C", readonly=True)
_TABLE = types.Array(types.float32, 2, "C", readonly=True)


def kernel(*signatures: Signature) -> Callable[[Callable], Callable[..., Any]]:
    """Compile a function for these arguments, or load it as compiled before.

    numba keeps it in `__pycache__` beside this file, else in the user's cache, or in
    NUMBA_CACHE_DIR; where none of them can be written, it is compiled at every start.
    """

    def compiled(function: Callable) -> Callable[..., Any]:
        try:
            return njit(list(signatures), nogil=True, cache=True)(function)
        except (RuntimeError, OSError) as error:
            if isinstance(error, NumbaError):
                raise
            text = "%s is compiled at every start (NUMBA_CACHE_DIR may help): %s"
            logger.warning(text, function.__name__, error)
            return njit(list(signatures), nogil=True)(function)

    return compiled


def _add_up_as_typed(
    _: object,
    source: types.Type,
    at: types.Type,
    out: types.Type,
    to: types.Type,
    value: types.Type,
) -> tuple[Signature, Callable[..., ir.Value]]:
    """Read LANES differences, write the values they make; as vectors, without a branch.

    numba turns no loop of this kind into vectors: each value needs the one before it.
    Here the sums grow in log2(LANES) steps, each adding the vector to itself, shifted.
    The 16 values may be wrong if one of the differences is ESCAPE, which is told.

    Args:
        source: Bytes; LANES of them are read.
        at: From here on.
        out: int32; LANES of them are written.
        to: From here on.
        value: int32, the pixel before.

    Returns:
        The last value in the low 32 bits; above them a bit for each ESCAPE.
    """
    signature = types.int64(source, at, out, to, value)
    return signature, _add_up_in_llvm


_add_up: Callable[..., int] = intrinsic(_add_up_as_typed)


def _add_up_in_llvm(
    context: BaseContext,
    builder: ir.IRBuilder,
    signature: Signature,
    arguments: Sequence[ir.Value],
) -> ir.Value:
    byte, short, word, long = (ir.IntType(bits) for bits in (8, 16, 32, 64))
    bytes_, shorts, words = (ir.VectorType(t, LANES) for t in (byte, short, word))
    source, at, out, to, value = arguments
    source = context.make_array(signature.args[0])(context, builder, source).data
    out = context.make_array(signature.args[2])(context, builder, out).data

    place = builder.bitcast(builder.gep(source, [at]), bytes_.as_pointer())
    found = builder.load(place, align=1)
    sums = builder.sext(found, shorts)
    nothing = ir.Constant(shorts, [0] * LANES)
    step = 1
    while step < LANES:
        shifted = [max(0, LANES + k - step) if k >= step else 0 for k in range(LANES)]
        order = ir.Constant(words, shifted)  # from 0 on: of `nothing`, from 16: `sums`
        sums = builder.add(sums, builder.shuffle_vector(nothing, sums, order))
        step *= 2

    first, last = (ir.Constant(word, k) for k in (0, LANES - 1))
    unset = ir.Constant(words, ir.Undefined)
    base = builder.insert_element(unset, value, first)
    base = builder.shuffle_vector(base, unset, ir.Constant(words, [0] * LANES))
    values = builder.add(builder.sext(sums, words), base)
    place = builder.bitcast(builder.gep(out, [to]), words.as_pointer())
    builder.store(values, place, align=4)

    escapes = builder.icmp_signed("==", found, ir.Constant(bytes_, [ESCAPE] * LANES))
    escapes = builder.zext(builder.bitcast(escapes, ir.IntType(LANES)), long)
    escapes = builder.shl(escapes, ir.Constant(long, 32))
    value = builder.zext(builder.extract_element(values, last), long)
    return cast(ir.Value, builder.or_(escapes, value))


@njit(inline="always")
def _signed(source: np.ndarray, at: Integer, width: int) -> np.int64:
    """Return the little-endian number of so many bytes."""
    found = np.uint64(0)
    for k in range(width):
        # an unsigned index cannot mean "from the end": half the time
        found |= np.uint64(source[np.uint64(at + k)]) << np.uint64(8 * k)
    unused = 64 - 8 * width
    return np.int64(found << np.uint64(unused)) >> unused


@njit(inline="always")
def _difference(source: np.ndarray, at: Integer) -> tuple[Integer, Integer]:
    """Return the difference at a byte, which is there, and the byte behind it.

    One that is cut is 0, and ends behind the source.
    """
    left = source.size - at - 1
    change = _signed(source, at, 1)
    if change != -(2**7):
        return change, at + 1
    if left < 2:
        return 0, source.size + 1
    change = _signed(source, at + 1, 2)
    if change != -(2**15):
        return change, at + 3
    if left < 6:
        return 0, source.size + 1
    change = _signed(source, at + 3, 4)
    if change != -(2**31):
        return change, at + 7
    if left < 14:
        return 0, source.size + 1
    return _signed(source, at + 7, 8), at + 15


@kernel(types.UniTuple(types.int64, 3)(_BYTES, types.int32[::1]))
def byte_offsets(
    source: np.ndarray, out: np.ndarray
) -> tuple[Integer, Integer, Integer]:
    """Decode CBF's byte offsets until source or output ends, or a value is no int32.

    Returns:
        Pixels made; bytes used, more than there are if the last difference is cut; the
        last value, which may be what does not fit.
    """
    size, count = source.size, out.size
    at, to, value = np.int64(0), np.int64(0), np.int64(0)
    while to < count and at < size:
        if (
            at + LANES <= size
            and to + LANES <= count
            and INT32_MIN + _REACH <= value <= INT32_MAX - _REACH
        ):
            told = _add_up(source, at, out, to, np.int32(value))
            if told >> 32 == 0:
                value = np.int64(np.int32(told))
                at, to = at + LANES, to + LANES
                continue
        end = min(to + LANES, count)
        while to < end and at < size:
            change, at = _difference(source, at)
            value += change
            if at > size or not INT32_MIN <= value <= INT32_MAX:
                return to, at, value
            out[to] = value
            to += 1
    return to, at, value


@kernel(types.void(_BYTES, types.uint16[::1]))
def unpack_12_bits(source: np.ndarray, out: np.ndarray) -> None:
    """Decode Mono12p, two pixels in three bytes; nothing if the sizes do not agree."""
    pairs = out.size // 2
    if source.size != (out.size * 12 + 7) // 8:
        return
    for k in range(pairs):
        first, middle, last = source[3 * k], source[3 * k + 1], source[3 * k + 2]
        out[2 * k] = first | (np.uint16(middle) & np.uint16(0x0F)) << 8
        out[2 * k + 1] = middle >> 4 | np.uint16(last) << 4
    if out.size % 2:
        middle = np.uint16(source[3 * pairs + 1]) & np.uint16(0x0F)
        out[2 * pairs] = source[3 * pairs] | middle << 8


@kernel(types.void(_PIXELS, _TABLE, types.float32[::1]))
def look_up(counts: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    """Replace each count by its pixel's own table; -2 beyond it, -1 below 0.

    Args:
        counts: Of so many pixels as `table` has rows and `out` has elements.
        table: (pixels, counts).
        out: What the table says.
    """
    known = table.shape[1]
    for k in range(min(counts.size, table.shape[0], out.size)):
        count = counts[k]
        if count < 0:
            out[k] = -1
        elif count >= known:
            out[k] = -2
        else:
            out[k] = table[k, count]
