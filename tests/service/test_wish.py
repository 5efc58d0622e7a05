"""What viewers may ask for."""

import msgspec
import pytest

from srx_service.wish import Wish


def test_what_is_not_named_keeps_its_value():
    wish = Wish().changed('{"scale": "log", "region": [0, 0, 5, 5]}')
    assert wish.changed('{"low": 3}') == Wish(scale="log", region=(0, 0, 5, 5), low=3)
    assert wish.changed('{"region": null}') == Wish(scale="log")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "truncated"),
        ("[]", "object"),
        ('{"colour": "red"}', "colour"),
        ('{"rate_hz": 0}', "rate_hz"),
        ('{"rate_hz": 20.1}', "rate_hz"),
        ('{"rate_hz": NaN}', "malformed"),
        ('{"rate_hz": 1e999}', "range"),
        ('{"max_rows": 0}', "max_rows"),
        ('{"max_columns": 5000}', "max_columns"),
        ('{"max_rows": 2.5}', "max_rows"),
        ('{"region": [0, 0, 5]}', "region"),
        ('{"region": [-1, 0, 5, 5]}', "region"),
        ('{"region": [5, 0, 5, 5]}', "is empty"),
        ('{"sums": [[0, 0, 0, 5]]}', "is empty"),
        ('{"sums": [' + ", ".join(["[0, 0, 1, 1]"] * 9) + "]}", "sums"),
        ('{"scale": "cubic"}', "scale"),
        ('{"percentiles": [99, 1]}', "percentiles"),
        ('{"percentiles": [1, 101]}', "percentiles"),
        ('{"percentiles": 5}', "percentiles"),
        ('{"cursor": [1]}', "cursor"),
        ('{"cursor": [1, 99999999999]}', "cursor"),
        ('{"histogram": 257}', "histogram"),
        ('{"paused": 1}', "paused"),
    ],
)
def test_what_cannot_be_meant_is_told(text, words):
    with pytest.raises((ValueError, msgspec.DecodeError), match=words):
        Wish().changed(text)


def test_the_cursor_and_the_rate_need_no_other_picture():
    assert Wish(cursor=(1, 2), rate_hz=3, histogram=5).picture == Wish().picture
    assert Wish(low=3).picture != Wish().picture
