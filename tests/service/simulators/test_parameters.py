import pytest

from srx_service.errors import RequestError
from srx_service.simulators.parameters import Parameter, threshold_parameters


def test_a_number_is_shown_with_unit_and_limits():
    shown = Parameter(1.5, "float", "rw", "s", (1, 2)).answer()
    assert shown == {
        "value": 1.5,
        "value_type": "float",
        "access_mode": "rw",
        "unit": "s",
        "min": 1,
        "max": 2,
    }


def test_a_text_is_shown_with_what_it_may_be():
    shown = Parameter("a", "string", "rw", allowed=("a", "b")).answer()
    assert shown["allowed_values"] == ["a", "b"]
    assert "min" not in shown


@pytest.mark.parametrize("value", [0.5, 2.5, "1.5", None, True])
def test_what_is_not_allowed_is_refused(value):
    with pytest.raises(RequestError, match="time"):
        Parameter(1.5, "float", "rw", "s", (1, 2)).checked("time", value)


def test_the_first_thresholds_are_enabled():
    found = threshold_parameters(2, difference=True)
    enabled = [key for key, p in found.items() if p.value == "enabled"]
    names = ("1", "2", "difference")
    assert enabled == [f"threshold/{name}/mode" for name in names]
    assert found["threshold/2/energy"].value == 1.5 * 4020.5
