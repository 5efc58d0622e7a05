import h5py
import pytest

from srx_service.superblock import SIZE, Superblock, lookup3, open_patched, write_head

# From lookup3.c, driver5, seed 0.
PUBLISHED = [
    (b"", 0xDEADBEEF),
    (b"Four score and seven years ago", 0x17770551),
]


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "whole.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["x"] = [1, 2]
    return path


@pytest.mark.parametrize(("text", "value"), PUBLISHED)
def test_lookup3_gives_the_values_its_author_published(text, value):
    assert lookup3(text) == value


def test_what_is_read_is_written_back_byte_for_byte(whole):
    head = whole.read_bytes()[:SIZE]
    block = Superblock.from_bytes(head)
    assert (block.flags, block.end) == (0, whole.stat().st_size)
    assert block.as_bytes() == head


@pytest.mark.parametrize("place", [9, 11, 20, 30, 40, 47])
def test_a_changed_byte_is_found(whole, place):
    head = bytearray(whole.read_bytes()[:SIZE])
    head[place] ^= 1
    with pytest.raises(ValueError, match=r"checksum|version"):
        Superblock.from_bytes(bytes(head))


@pytest.mark.parametrize("head", [b"", b"\x89HDF\r\n\x1a\n", b"P5 640 480" * 9])
def test_what_is_no_hdf5_file_is_told(head):
    with pytest.raises(ValueError, match="not an HDF5 file"):
        Superblock.from_bytes(head)


def test_a_file_reads_as_if_it_began_with_other_bytes(whole):
    before = whole.read_bytes()
    flagged = bytearray(before)
    flagged[11:12] = b"\x05"
    whole.write_bytes(flagged)
    with open_patched(whole, before[:SIZE]) as raw, h5py.File(raw, "r") as file:
        assert file["x"][:].tolist() == [1, 2]
    assert whole.read_bytes() == flagged


def test_only_the_first_bytes_are_written(whole):
    before = whole.read_bytes()
    write_head(whole, b"\1" * SIZE)
    assert whole.read_bytes() == b"\1" * SIZE + before[SIZE:]
