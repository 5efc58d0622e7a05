import json

import numpy as np
import pytest

from srx_service.codecs import jsontext
from srx_service.errors import ProtocolError


def nested(depth):
    return b'{"x":' * depth + b"1" + b"}" * depth


def test_nesting_has_a_bound():
    assert jsontext.read_object(nested(64), "it", 10_000)
    with pytest.raises(ProtocolError, match="more than 64 deep"):
        jsontext.read_object(nested(65), "it", 10_000)


def test_wide_is_not_deep():
    wide = json.dumps({"x": [[k] for k in range(1000)]}).encode()
    assert len(jsontext.read_object(wide, "it", 100_000)["x"]) == 1000


def test_size_has_a_bound_and_the_text_is_cut():
    with pytest.raises(ProtocolError, match="at most 100 are allowed") as refused:
        jsontext.read_object(b'{"x":"' + b"a" * 5000, "it", 100, series=3, number=4)
    assert len(str(refused.value)) < 400
    assert (refused.value.series, refused.value.number) == (3, 4)


def test_writing_makes_json_of_what_numpy_holds():
    fields = {"a": np.arange(3), "b": np.float32(0.5), "c": float("nan"), "d": b"\xff"}
    assert json.loads(jsontext.write(fields)) == {"a": [0, 1, 2], "b": 0.5, "c": None}


def test_what_has_no_json_is_refused():
    with pytest.raises(NotImplementedError, match="object has no JSON"):
        jsontext.write({"a": object()})
