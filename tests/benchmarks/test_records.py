import json

from benchmarks import records
from benchmarks.verdicts import Figure, Measured

MEASURED = Measured((Figure("ratio", 0.8, least=0.7),), {"against": "yardstick"})


def test_a_record_tells_what_was_found_when_where_and_of_which_commit():
    kept = records.record("50x50", MEASURED, table=2, repeat=6)
    assert kept["row"] == "50x50"
    assert (kept["table"], kept["repeat"]) == (2, 6)
    assert kept["figures"] == [
        {"name": "ratio", "value": 0.8, "least": 0.7, "is_met": True}
    ]
    assert kept["date"].endswith("+00:00")
    assert kept["commit"] == records.commit()
    for key in ("cpu", "cores", "kernel", "python", "h5py", "hdf5", "pyzmq", "libzmq"):
        assert kept["machine"][key]


def test_records_are_added_to_a_file_and_read_from_it(tmp_path):
    path = tmp_path / "results" / "today.jsonl"
    for row in ("one µ", "two"):
        records.append(path, {"row": row})
    assert [json.loads(line)["row"] for line in path.read_text().splitlines()] == [
        "one µ",
        "two",
    ]
    assert list(records.read([path, path]))[1:3] == [{"row": "two"}, {"row": "one µ"}]


def test_the_cpu_is_named_as_the_kernel_names_it():
    assert records.cpu_model("processor\t: 0\nmodel name\t: Xeon: Gold\n") == (
        "Xeon: Gold"
    )
    assert records.cpu_model("processor\t: 0\n") != ""


def test_a_program_that_is_not_there_leaves_its_answer_empty(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert records.library_version("hdf5") == ""
    assert records.commit() == ""
