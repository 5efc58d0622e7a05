import pytest

from srx_service.confinement import api_path, stream_path
from srx_service.errors import RequestError, WriteError


@pytest.fixture
def root(tmp_path):
    """A folder with a link that leads out of it."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    return root


OUTSIDE = ["../a.h5", "/etc/a.h5", "out/a.h5", "sub/../../a.h5", "a\0.h5"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_stream_cannot_name_a_file_outside_of_the_root(root, name):
    with pytest.raises(WriteError, match=r"from the stream"):
        stream_path(name, root)


@pytest.mark.parametrize("name", ["a.h5", "sub/a.h5", "sub/../a.h5", "out/root/a.h5"])
def test_a_stream_names_files_relative_to_the_root(root, name):
    path = stream_path(name, root)
    assert path.is_relative_to(root)
    assert path.name == "a.h5"


def test_a_stream_may_name_an_absolute_path_under_the_root(root):
    assert stream_path(str(root / "a.h5"), root) == root / "a.h5"


def test_without_a_root_the_name_of_the_stream_is_taken_as_it_is():
    assert str(stream_path("/anywhere/a.h5", None)) == "/anywhere/a.h5"


@pytest.mark.parametrize("name", ["a.h5", *OUTSIDE])
def test_a_client_has_to_name_an_absolute_path_under_the_root(root, name):
    given = name if name in ("a.h5", "/etc/a.h5") else f"{root}/{name}"
    with pytest.raises(RequestError, match="absolute path under write_root") as error:
        api_path(given, root)
    assert error.value.status == 422


def test_a_client_cannot_name_a_file_without_a_root():
    with pytest.raises(RequestError, match="write_root") as error:
        api_path("/data/a.h5", None)
    assert error.value.status == 422


@pytest.mark.parametrize("name", ["there.h5", "."])
def test_a_client_cannot_name_what_exists(root, name):
    (root / "there.h5").touch()
    with pytest.raises(RequestError, match="exists") as error:
        api_path(str(root / name), root)
    assert error.value.status == 409


def test_a_name_that_no_file_can_have_is_refused(root):
    with pytest.raises(RequestError, match="File name too long") as error:
        api_path(f"{root}/{'a' * 300}", root)
    assert error.value.status == 422


def test_a_client_gets_the_path_with_its_links_resolved(root):
    assert api_path(f"{root}/out/root/a.h5", root) == root / "a.h5"
