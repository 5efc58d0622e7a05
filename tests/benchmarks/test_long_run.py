from benchmarks.long_run import growth


def test_memory_that_goes_up_and_down_is_flat():
    assert growth([100.0, 300.0, 100.0, 200.0, 300.0, 100.0]) == 1.0


def test_memory_that_grows_is_seen():
    assert growth([100.0, 110.0, 150.0, 160.0, 190.0, 220.0]) == 2.0
