import pytest

from tests.service.line import Line
from tests.service.writing import Desk


@pytest.fixture
def line() -> Line:
    """The generic stream, on one connection."""
    return Line()


@pytest.fixture
def dectris() -> Line:
    return Line("series")


@pytest.fixture
def desk(tmp_path):
    with Desk(tmp_path) as made:
        yield made
