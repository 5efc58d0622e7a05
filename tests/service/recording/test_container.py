import pickle
import zipfile

import cbor2
import pytest

from srx_service.errors import ConfigError
from srx_service.recording.container import event, read

MESSAGES = [[b'{"htype": "header"}'], [b'{"htype": "image"}', b"\0" * 70_000], [b""]]


def written(path, items):
    path.write_bytes(b"".join(items))
    return path


def test_what_was_written_is_read_again(tmp_path):
    items = [event(k, "eiger", parts, 1.5) for k, parts in enumerate(MESSAGES)]
    assert list(read(written(tmp_path / "a.cbors", items))) == MESSAGES


def test_an_event_holds_its_number_the_name_the_type_and_the_time():
    item = event(7, "orca", [b'{"htype":"header"}', b"x"], 1_700_000_000.5)
    assert item.startswith(b"\xd9\xd9\xf7\xd9\xa7}")
    number, streams, time = cbor2.loads(item).value
    assert (number, time.timestamp()) == (7, 1_700_000_000.5)
    assert list(streams["orca"].value) == ["STINS", (b'{"htype":"header"}', b"x")]


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (b'{"htype":"dheader-1.0"}', "EIGER_LEGACY"),
        (b'{"frame":0,"htype":"dimage-1.0"}', "EIGER_LEGACY"),
        (b"\xd9\xd9\xf7\xa1", "DECTRIS_STREAM2"),
        (b'{"htype":"image"}', "STINS"),
    ],
)
def test_the_type_follows_from_the_first_part(first, kind):
    streams = cbor2.loads(event(0, "a", [first])).value[1]
    assert streams["a"].value[0] == kind


@pytest.mark.parametrize("wrap", [list, tuple])
def test_plain_lists_of_parts_are_read(tmp_path, wrap):
    items = [cbor2.dumps(wrap(parts)) for parts in MESSAGES]
    assert list(read(written(tmp_path / "a.cbors", items))) == MESSAGES


def test_pickled_lists_are_read(tmp_path):
    items = [pickle.dumps(parts) for parts in MESSAGES]
    assert list(read(written(tmp_path / "a.pkls", items))) == MESSAGES


@pytest.mark.parametrize(
    ("name", "dump"), [("a.cbors", cbor2.dumps), ("b.pkls", pickle.dumps)]
)
def test_a_recording_may_be_in_a_zip(tmp_path, name, dump):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("README", "no recording")
        archive.writestr(name, b"".join(map(dump, MESSAGES)))
    assert list(read(tmp_path / "a.zip")) == MESSAGES


@pytest.mark.parametrize("names", [[], ["a.cbors", "b.cbors"]])
def test_a_zip_holds_exactly_one_recording(tmp_path, names):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in names:
            archive.writestr(name, cbor2.dumps(MESSAGES[0]))
    with pytest.raises(ConfigError, match=f"holds {len(names)} files"):
        list(read(tmp_path / "a.zip"))


class Evil:
    def __reduce__(self):
        return eval, ("1/0",)


@pytest.mark.parametrize("item", [Evil(), [Evil()], [b"a", Evil()]], ids=range(3))
def test_a_pickle_that_calls_a_function_is_refused_and_nothing_called(tmp_path, item):
    path = written(tmp_path / "a.pkls", [pickle.dumps(item)])
    with pytest.raises(ConfigError, match=r"builtins\.eval in it"):
        list(read(path))


BAD_PICKLES = {
    "opcode": b"\xff\xff",
    "empty stack": b".",
    "memo": b"h\x05.",
    "text": b"\x80\x04\x8c\x01a.",
    "dict": pickle.dumps({"a": b"b"}),
    "numbers": pickle.dumps([1, 2]),
    "empty": pickle.dumps([]),
    "extension": b"\x82\x01.",
    "persistent": b"Pabc\n.",
}


@pytest.mark.parametrize("raw", BAD_PICKLES.values(), ids=BAD_PICKLES)
def test_a_pickle_of_anything_else_is_refused(tmp_path, raw):
    with pytest.raises(ConfigError, match=r"a\.pkls"):
        list(read(written(tmp_path / "a.pkls", [raw])))


BAD_CBOR = {
    "number": cbor2.dumps(5),
    "texts": cbor2.dumps(["a"]),
    "empty": cbor2.dumps([]),
    "tag": cbor2.dumps(cbor2.CBORTag(42, [b"a"])),
    "event of nothing": cbor2.dumps(cbor2.CBORTag(42877, [1])),
    "no streams": cbor2.dumps(cbor2.CBORTag(42877, [1, {}])),
    "list of streams": cbor2.dumps(cbor2.CBORTag(42877, [1, [1]])),
    "break": b"\xff",
    "json": b'{"htype": "header"}',
    "nothing": b"",
}


@pytest.mark.parametrize("raw", BAD_CBOR.values(), ids=BAD_CBOR)
def test_a_file_that_is_no_recording_is_refused_by_name(tmp_path, raw):
    with pytest.raises(ConfigError, match=r"a\.cbors"):
        list(read(written(tmp_path / "a.cbors", [raw])))


def test_messages_before_a_cut_are_read(tmp_path):
    items = [event(k, "eiger", parts) for k, parts in enumerate(MESSAGES)]
    items[-1] = items[-1][:-1]
    assert list(read(written(tmp_path / "a.cbors", items))) == MESSAGES[:2]


def two_streams():
    data = {
        name: cbor2.CBORTag(42878, ["STINS", [name.encode()]]) for name in ("a", "b")
    }
    return cbor2.dumps(cbor2.CBORTag(42877, [0, data]))


def test_one_stream_of_several_is_chosen_by_name(tmp_path):
    path = written(tmp_path / "a.cbors", [two_streams()])
    assert list(read(path, "b")) == [[b"b"]]


@pytest.mark.parametrize("name", [None, "c"])
def test_without_its_name_the_streams_there_are_told(tmp_path, name):
    path = written(tmp_path / "a.cbors", [two_streams()])
    with pytest.raises(ConfigError, match=r"holds the streams .*'a'.*'b'"):
        list(read(path, name))


COUNTS = {
    "eiger_legacy_dump.zip": [9, *[4] * 9],
    "stream2.zip": [1] * 12,
    "nanomax-eiger1m-forwarded.cbors": [*[2] * 15, 1],
    "danmax-orca.cbors": [*[2] * 12, 1],
    "xspress3-dump.cbors": [1] * 62,
    "xspress3-multipart.cbors": [1, *[3] * 5, 1],
}


@pytest.mark.parametrize("name", COUNTS)
def test_recordings_of_real_detectors_are_read(recordings, name):
    counts = [len(parts) for parts in read(recordings / name)]
    assert counts == COUNTS[name]
