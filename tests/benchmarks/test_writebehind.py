import sys

import pytest

from benchmarks import writebehind


@pytest.mark.parametrize("more", [[], ["--rate", "1000"]])
def test_both_ways_are_measured_and_the_disk_is_left_empty(
    tmp_path, monkeypatch, capsys, more
):
    words = ["--target", str(tmp_path), "--size", "64 MB", "--repeat", "1", *more]
    monkeypatch.setattr(sys, "argv", ["writebehind", *words])
    writebehind.main()
    lines = capsys.readouterr().out.splitlines()
    begins = ["write_behind off", "write_behind 16 MiB", "off", "16 MiB"]
    assert [line.split(":")[0] for line in lines] == begins
    assert list(tmp_path.iterdir()) == []
