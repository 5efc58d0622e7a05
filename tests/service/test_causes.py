import errno
from pathlib import Path

import pytest

from srx_service.causes import told
from srx_service.errors import WriteError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "x"), "No space left on device: free space"),
        (RuntimeError("unable to extend (errno = 27, error)"), "File too large: free"),
        (OSError(errno.EDQUOT, "x"), "free space"),
        (PermissionError(errno.EACCES, "x"), "the service's user may not write there"),
        (OSError(errno.EROFS, "x"), "Read-only file system"),
        (RuntimeError("write failed (errno = 5, x)"), "Input/output error: the disk"),
        (FileExistsError(errno.EEXIST, "x"), "never overwritten"),
        (OSError("file is already open for write"), "`srx repair /a/b.h5`"),
        (ValueError("a\n  b"), "a b"),
        (KeyError(), "KeyError"),
    ],
)
def test_the_cause_is_told_with_what_to_do(tmp_path, error, text):
    with (
        pytest.raises(WriteError, match=r"cannot flush /a/b\.h5: ") as raised,
        told("cannot flush", Path("/a/b.h5")),
    ):
        raise error
    assert text in str(raised.value)


def test_other_errors_are_not_the_storages(tmp_path):
    with pytest.raises(AssertionError), told("cannot flush", tmp_path):
        raise AssertionError
