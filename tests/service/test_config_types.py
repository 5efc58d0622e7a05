"""What people write for sizes, permissions and masks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic_core import PydanticCustomError

from srx_service.config_types import (
    Origins,
    parse_mask,
    parse_mode,
    parse_size,
    size_text,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1000", 1000),
        ("256 MiB", 256 << 20),
        ("256MiB", 256 << 20),
        ("1.5 GB", 1_500_000_000),
        ("64 kB", 64_000),
        ("2 KiB", 2048),
        ("3 TiB", 3 << 40),
        (4096, 4096),
    ],
)
def test_sizes_are_bytes_or_text_with_a_unit(text, size_bytes):
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "-1", "1 XB", "lots", "1 MiB 2", "0x10", "1e9"])
def test_other_texts_are_no_sizes(text):
    with pytest.raises(PydanticCustomError, match="should be bytes or text"):
        parse_size(text)


@pytest.mark.parametrize("text", ["8 EiB", "9999999 TiB", "9" * 400])
def test_sizes_that_no_disk_has_are_refused(text):
    with pytest.raises(PydanticCustomError, match=r"should be (bytes|less than 8 EiB)"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=1 << 50))
def test_a_size_shown_reads_as_the_same_size(size_bytes):
    assert parse_size(size_text(size_bytes)) == size_bytes


def test_round_sizes_are_shown_with_a_unit():
    assert [size_text(n) for n in (1 << 30, 3 << 20, 1000)] == ["1 GiB", "3 MiB", 1000]


@pytest.mark.parametrize("written", ["0o640", "0640", "640", 0o640])
def test_permissions_are_octal(written):
    assert parse_mode(written) == 0o640


@pytest.mark.parametrize("written", [644, 755, 2770, "rw-r-----", "0o888", "7", ""])
def test_other_permissions_are_refused(written):
    with pytest.raises(PydanticCustomError, match="should be octal permission bits"):
        parse_mode(written)


@pytest.mark.parametrize("nothing", [None, []])
def test_an_empty_mask_is_none(nothing):
    assert parse_mask(nothing) is None


def test_a_mask_is_a_span_of_rows_and_one_of_columns():
    assert parse_mask([[0, 2], [5, 9]]) == ((0, 2), (5, 9))


@pytest.mark.parametrize(
    "mask",
    [1, "all", [[0, 2]], [[0, 2], [9, 5]], [[0, 2], [-1, 5]], [[0, 2], ["a", "b"]]],
)
def test_what_is_no_rectangle_is_no_mask(mask):
    with pytest.raises(PydanticCustomError, match="should be \\[\\[first row"):
        parse_mask(mask)


@pytest.mark.parametrize(
    "origin", ["https://daq.example.org", "http://localhost:3000", "HTTP://[::1]:80"]
)
def test_an_origin_is_what_a_browser_names(origin):
    assert TypeAdapter(Origins).validate_python([origin]) == (origin.lower(),)


@pytest.mark.parametrize(
    "origin", ["*", "daq.example.org", "https://a/b", "https://*.org", "null"]
)
def test_a_site_is_named_whole_or_not_at_all(origin):
    with pytest.raises(ValueError, match="should be scheme and host of a site"):
        TypeAdapter(Origins).validate_python([origin])
