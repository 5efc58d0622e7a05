"""For supervisors and monitoring."""


def test_healthz_answers_whatever_the_line_does(ask, line):
    line.ready, line.fault = False, OSError()
    assert ask("GET", "/healthz").json() == {"alive": True}


def test_readyz_tells_whether_data_can_be_taken(ask, line):
    assert (ask("GET", "/readyz").status_code, ask("GET", "/readyz").json()) == (
        200,
        {"ready": True},
    )
    line.ready = False
    assert ask("GET", "/readyz").status_code == 503
    assert ask("GET", "/readyz").json() == {"ready": False}


def test_metrics_are_text_for_prometheus(ask):
    answer = ask("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "srx_messages_total 3.0" in answer.text
    assert 'detector="eiger"' in answer.text
