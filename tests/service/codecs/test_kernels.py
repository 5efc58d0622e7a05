import logging

import numpy as np
import pytest
from numba import types
from numba.core.caching import CompileResultCacheImpl
from numba.core.errors import TypingError

from srx_service.codecs import kernels

DOUBLE = types.int64(types.int64)


def double(value):
    return 2 * value


def test_what_was_compiled_is_kept_and_releases_the_gil():
    for kernel in (kernels.byte_offsets, kernels.unpack_12_bits, kernels.look_up):
        assert kernel.targetoptions["nogil"]
        assert kernel.stats.cache_path
        assert len(kernel.signatures) == 1


def test_a_folder_that_cannot_be_written_is_told_and_does_no_harm(monkeypatch, caplog):
    monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", [])
    compiled = kernels.kernel(DOUBLE)(double)
    assert compiled(21) == 42
    assert "double is compiled at every start (NUMBA_CACHE_DIR may help)" in caplog.text


def test_a_kernel_that_cannot_be_compiled_is_a_fault():
    with pytest.raises(TypingError):
        kernels.kernel(DOUBLE)(lambda value: value.nothing)


def test_compilation_is_not_told_step_by_step():
    assert logging.getLogger("numba").getEffectiveLevel() >= logging.WARNING


def test_a_short_source_or_output_is_not_exceeded():
    out = np.full(8, 7, np.uint16)
    kernels.unpack_12_bits(np.zeros(2, np.uint8), out)
    assert list(out) == 8 * [7]
    table = np.ones((3, 2), np.float32)
    found = np.full(5, 7, np.float32)
    kernels.look_up(np.array([0, 1, 2, 0, 0], np.int32), table, found[:4])
    assert list(found) == [1, 1, -2, 7, 7]
