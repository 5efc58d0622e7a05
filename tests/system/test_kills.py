"""A few kills at random moments; `python -m benchmarks.kills` has many."""

import pytest

from benchmarks.kills import Trial


@pytest.mark.timeout(300)  # six starts, and each may wait for the others' tests
def test_after_each_kill_every_file_is_whole_and_every_loss_is_told(tmp_path):
    outcome = Trial(tmp_path, seed=1, longest_s=0.7).run(5)
    assert outcome.faults == []
    assert outcome.kills == 5
    assert outcome.rows > 0
