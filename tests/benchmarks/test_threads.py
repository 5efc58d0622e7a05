import os
import time

from benchmarks.threads import Times, taken, used


def test_what_a_thread_took_of_a_frame():
    before = {"write": Times(100.0, 50.0)}
    after = {"write": Times(300.0, 150.0), "new": Times(40.0, 0.0)}
    assert taken(before, after, "write", 100) == Times(2.0, 1.0)
    assert taken(before, after, "new", 100) == Times(0.4, 0.0)


def test_the_cpu_of_a_process_is_told_by_thread():
    begun = used(os.getpid())
    end_s = time.thread_time() + 0.1
    while time.thread_time() < end_s:
        pass
    now = used(os.getpid())
    spent_us = sum(sum(times) for times in now.values())
    assert spent_us - sum(sum(times) for times in begun.values()) >= 0.05e6
