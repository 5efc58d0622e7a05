from benchmarks import table
from benchmarks.verdicts import Figure, Measured


def of(ratio, **details):
    figures = (Figure("ratio", ratio, least=0.9), Figure("peak MiB", 300.0, most=506.0))
    side = {"fps": [1000.0, 1200.0], "cpu_us": 4.5, "frames": [10, 10]}
    measured = Measured(
        figures,
        {"against": "yardstick", "service": side | details, "yardstick": side},
    )
    return {
        "row": "16 MB",
        "figures": [figure.as_dict() for figure in measured.figures],
        "details": measured.details,
    }


def test_a_record_is_printed_with_its_verdicts_and_all_runs():
    assert list(table.lines(of(0.85))) == [
        "16 MB",
        "  ratio 0.85 (≥ 0.9): MISSED",
        "  peak MiB 300 (≤ 506): met",
        "    against: yardstick",
        "    service: fps [1,000 1,200], cpu_us 4.5, frames [10 10]",
        "    yardstick: fps [1,000 1,200], cpu_us 4.5, frames [10 10]",
    ]


def test_a_figure_is_met_where_two_tables_of_three_meet_it():
    head, _, ratio, peak = table.markdown([of(0.85), of(0.93), of(0.912)])
    assert head == "| work | figure | asked for | found | verdict | beside it |"
    assert ratio.startswith(
        "| 16 MB | ratio | ≥ 0.9 | 0.85, 0.93, 0.912 | met (2 of 3)"
    )
    assert peak.startswith("| 16 MB | peak MiB | ≤ 506 | 300, 300, 300 | met (3 of 3)")


def test_beside_a_ratio_stand_the_spread_and_the_cost_of_both():
    *_, ratio, _ = table.markdown([of(0.95)])
    side = "1,000 to 1,200 frames/s, 4.5 CPU µs a frame"
    assert f"| service {side}; yardstick {side} |" in ratio


def test_what_a_client_got_and_what_was_dropped_is_told():
    *_, ratio, _ = table.markdown([of(0.95, client_images=[9, 8], dropped=[1, 2])])
    assert "client got 17 of 20, 3 dropped" in ratio


def test_what_is_missed_is_named_with_its_row():
    assert table.misses([of(0.85), of(0.93), of(0.91)]) == []
    assert table.misses([of(0.85), of(0.8), of(0.91)]) == ["16 MB: ratio"]
