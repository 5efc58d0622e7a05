"""How much of the machine nobody needs."""

import os

import pytest

from srx_service.idle import LOOKS_APART_S, IdleCores, machine_idle_s

TICKS = os.sysconf("SC_CLK_TCK")


class Machine:
    def __init__(self):
        self.now_s = self.idle_s = 0.0
        self.cores = IdleCores(lambda: self.idle_s, lambda: self.now_s)

    def after(self, seconds, idle_s):
        self.now_s += seconds
        self.idle_s += idle_s
        return self.cores()


def test_it_is_the_mean_since_the_look_before():
    machine = Machine()
    assert machine.after(0, 0) == 0
    assert machine.after(2, 3) == 1.5
    assert machine.after(LOOKS_APART_S / 2, 100) == 1.5  # too early to look
    assert machine.after(LOOKS_APART_S / 2, -100) == 0


def test_a_clock_that_goes_back_makes_no_cores():
    machine = Machine()
    machine.after(0, 10)
    assert machine.after(2, -3) == 0


@pytest.fixture
def files(tmp_path):
    stat, quota = tmp_path / "stat", tmp_path / "cpu.max"
    ours = sorted(os.sched_getaffinity(0))
    lines = [f"cpu{n} 1 2 3 {TICKS * 10} 5 6 7 8 9 10" for n in ours]
    lines += ["cpu 1 2 3 999999 5", f"cpu{max(ours) + 1} 1 2 3 999999 5", "intr 1 2"]
    stat.write_text("\n".join(lines))
    return stat, quota, 10 * len(ours)


def test_only_cores_that_this_process_may_use_count(files):
    stat, quota, idle_s = files
    assert machine_idle_s(stat, quota) == idle_s
    quota.write_text("max 100000\n")
    assert machine_idle_s(stat, quota) == idle_s


def test_in_a_container_with_a_quota_nothing_is_known_to_be_idle(files):
    stat, quota, _ = files
    quota.write_text("200000 100000\n")
    assert machine_idle_s(stat, quota) == 0


def test_where_nothing_is_told_nothing_is_idle(tmp_path):
    assert machine_idle_s(tmp_path / "none", tmp_path / "none") == 0


def test_this_machine_tells():
    assert machine_idle_s() >= 0
