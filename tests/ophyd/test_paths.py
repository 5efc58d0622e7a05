import re

import pytest

from srx_ophyd.paths import (
    another_path,
    check_map,
    check_path,
    file_uri,
    plain_path,
    reader_path,
    safe_word,
)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("data/x.h5", "must begin with /"),
        ("/data/../x.h5", r"must not contain \.\."),
        ("/data/a b.h5", "the character ' '"),
        ("/data/ä.h5", "the character 'ä'"),
        (f"/data/{'x' * 253}.h5", "too long; a path may have 4095 bytes, a name in it"),
        ("/data" + "/folder" * 600, "too long"),
    ],
)
def test_paths_that_are_not_safe_are_refused(path, text):
    with pytest.raises(ValueError, match=rf"^somewhere: .*{text}"):
        check_path(path, "somewhere")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("det", "det"),
        ("a b/c:d", "a_b_c_d"),
        ("Fe₂O₃ — 2 K", "Fe_O____2_K"),
        ("../../etc", "_._._etc"),
        ("..", "_."),
        (".hidden", "_.hidden"),
        ("-rf", "_-rf"),
        ("", "_"),
        ("x" * 200, "x" * 64),
    ],
)
def test_any_text_becomes_a_word_for_a_files_name(text, word):
    assert safe_word(text) == word


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/data/a.h5", r"/data/a_[0-9a-f]{8}\.h5"),
        ("/data/a.nxs", r"/data/a_[0-9a-f]{8}\.nxs"),
        ("/data/v1.2", r"/data/v1\.2_[0-9a-f]{8}"),
    ],
)
def test_another_path_is_one_like_it(path, pattern):
    assert re.fullmatch(pattern, another_path(path))
    assert another_path(path) != another_path(path)


@pytest.mark.parametrize("path", ["//data//a", "/data/./a/", "/data/a"])
def test_a_plain_path_has_one_slash_between_two_names(path):
    assert plain_path(path) == "/data/a"


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/data/a.h5", "/gpfs/a.h5"),
        ("/data/raw/a.h5", "/raw/a.h5"),
        ("/data/rawer/a.h5", "/gpfs/rawer/a.h5"),
        ("/database/a.h5", "/database/a.h5"),
        ("/other/a.h5", "/other/a.h5"),
    ],
)
@pytest.mark.parametrize("kind", [dict, list])
def test_the_longest_prefix_of_whole_folders_is_replaced(path, seen, kind):
    pairs = check_map(kind([("/data//////", "/gpfs"), ("/data/raw", "/raw/")]))
    assert reader_path(path, pairs) == seen


def test_without_a_map_readers_see_the_services_path():
    assert reader_path("/data/a.h5", check_map(None)) == "/data/a.h5"


@pytest.mark.parametrize(
    "pair",
    [("/data", "/my disk"), ("data", "/x"), ("/a/..", "/"), ("/data", "s3://bucket")],
)
def test_maps_that_make_unsafe_paths_are_refused(pair):
    with pytest.raises(ValueError, match="path_map"):
        check_map([pair])


def test_a_uri_names_the_path_as_it_is():
    assert file_uri("/data/a_1.h5") == "file://localhost/data/a_1.h5"
