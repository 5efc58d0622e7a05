import h5py
import numpy as np
import pytest

from srx_service.shared import SharedChunk

FILL = 9


@pytest.fixture
def dataset(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        yield file.create_dataset(
            "x", (0, 2), "u1", maxshape=(None, 2), chunks=(4, 2), fillvalue=FILL
        )


def open_chunk(dataset):
    put = dataset.id.write_direct_chunk
    return SharedChunk(dataset, 4, put=put, fill=bytes(2 * [FILL]), mask=0)


def take(shared, dataset, *frames):
    dataset.resize(shared.rows + len(frames), axis=0)
    shared.extend([bytes([frame, frame]) for frame in frames])


def skip(shared, dataset, count):
    dataset.resize(shared.rows + count, axis=0)
    shared.skip(count)


def test_full_chunks_are_written_at_once_and_the_last_when_settled(dataset):
    shared = open_chunk(dataset)
    take(shared, dataset, *range(1, 7))
    assert dataset[:, 0].tolist() == [1, 2, 3, 4, FILL, FILL]
    shared.settle()
    assert dataset[:, 0].tolist() == [1, 2, 3, 4, 5, 6]


def test_a_settled_chunk_goes_on_growing(dataset):
    shared = open_chunk(dataset)
    for frame in range(1, 11):
        take(shared, dataset, frame)
        shared.settle()
        assert dataset[:, 1].tolist() == list(range(1, frame + 1))
    assert dataset.id.get_num_chunks() == 3


@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 11])
def test_rows_left_empty_read_as_fill(dataset, before, count):
    shared = open_chunk(dataset)
    take(shared, dataset, *range(1, before + 1))
    skip(shared, dataset, count)
    take(shared, dataset, 100)
    shared.settle()
    expected = [*range(1, before + 1), *count * [FILL], 100]
    assert dataset[:, 0].tolist() == expected


def test_chunks_without_a_frame_take_no_space(dataset):
    shared = open_chunk(dataset)
    skip(shared, dataset, 400)
    take(shared, dataset, 1)
    shared.settle()
    assert dataset.id.get_num_chunks() == 1


@pytest.mark.parametrize("rows", range(9))
def test_what_the_last_chunk_holds_is_read_back(dataset, rows):
    take(shared := open_chunk(dataset), dataset, *range(1, rows + 1))
    shared.settle()
    again = open_chunk(dataset)
    take(again, dataset, 50, 51)
    again.settle()
    assert dataset[:, 0].tolist() == [*range(1, rows + 1), 50, 51]


def test_an_untouched_chunk_is_not_written_again(dataset):
    take(shared := open_chunk(dataset), dataset, 1)
    shared.settle()
    dataset[0] = 77
    open_chunk(dataset).settle()
    assert dataset[0, 0] == 77


def test_where_the_storage_refuses_the_rows_before_are_told(dataset):
    shared = open_chunk(dataset)
    take(shared, dataset, 1, 2)
    with pytest.raises(OSError, match="chunk"):
        # beyond the length of the dataset nothing can be written
        shared.extend([bytes([k, k]) for k in range(3, 11)])
    assert shared.rows in (2, 4)
    dataset.resize(shared.rows, axis=0)
    shared.settle()
    assert dataset[:, 0].tolist() == list(range(1, shared.rows + 1))
    assert np.all(dataset[:, 0] == dataset[:, 1])
