import pytest

from srx_service.codecs.geometry import GEOMETRY, Place, as_fields, place_in, places_in

FIELDS = {"x": [0, 5], "y": [0, -1], "rotation": [0, 90], "full_shape": [8, 9]}
PLACES = [Place(0, 0, 0, (8, 9)), Place(5, -1, 90, (8, 9))]


def test_what_images_say_is_read_and_written():
    assert places_in({**FIELDS, "frame": 3}, 2) == PLACES
    assert as_fields(PLACES) == FIELDS
    assert set(FIELDS) == GEOMETRY


@pytest.mark.parametrize("places", [[], [None], [*PLACES, None]])
def test_of_modules_that_are_not_all_known_nothing_is_said(places):
    assert as_fields(places) == {}


def test_a_header_says_where_its_own_module_is():
    told = {"x": 5, "y": -1, "rotation": 90, "full_shape": [8, 9], "exptime": 0.1}
    assert place_in(told) == PLACES[1]
    assert place_in({"exptime": 0.1}) is None


@pytest.mark.parametrize("name", sorted(GEOMETRY))
@pytest.mark.parametrize("value", [None, "5", 1.5, [], 2**40, {}])
def test_what_cannot_be_is_refused(name, value):
    told = {"x": 5, "y": 0, "rotation": 90, "full_shape": [8, 9]}
    with pytest.raises(ValueError, match=name):
        place_in({**told, name: value})
    with pytest.raises(ValueError, match=r"\w"):
        places_in({**FIELDS, name: value}, 2)


@pytest.mark.parametrize("modules", [1, 3])
def test_every_module_has_a_place(modules):
    with pytest.raises(ValueError, match="2 places"):
        places_in(FIELDS, modules)


def test_lists_have_one_length():
    with pytest.raises(ValueError, match=r"longer|shorter"):
        places_in({**FIELDS, "x": [0]}, 2)
