import pytest

from srx_service.codecs import dectris_encoding


@pytest.mark.parametrize(
    ("wire", "name", "ours", "dtype"),
    [
        ("<", "uint16", "none", "uint16"),
        (">", "uint16", "none", ">u2"),
        (">", "uint8", "none", "uint8"),
        ("lz4<", "uint32", "lz4", "uint32"),
        ("bs8-lz4<", "uint8", "bslz4", "uint8"),
        ("bs16-lz4<", "uint16", "bslz4", "uint16"),
        ("bs32-lz4<", "int32", "bslz4", "int32"),
        ("bs32-lz4>", "uint32", "bslz4", ">u4"),
    ],
)
def test_words_are_read_and_written(wire, name, ours, dtype):
    assert dectris_encoding.read(wire, name) == (ours, dtype)
    written = dectris_encoding.write(ours, dtype)
    assert written == (wire if dtype != "uint8" or ours != "none" else "<", name)


@pytest.mark.parametrize(
    ("wire", "name"),
    [("", "uint16"), ("lz4", "uint16"), ("bs16<", "uint16"), ("bs8-lz4<", "uint16")],
)
def test_contradictions_are_refused(wire, name):
    with pytest.raises(ValueError, match="encoding"):
        dectris_encoding.read(wire, name)


@pytest.mark.parametrize("name", [">u2", "u2", "object", ""])
def test_types_have_numpys_names(name):
    with pytest.raises(ValueError, match="type"):
        dectris_encoding.read("<", name)
