"""detectors.yaml: what is understood, and what is refused in which words."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srx_service.config import DetectorConfig, Settings, load, load_one
from srx_service.config_file import Document, validate
from srx_service.errors import ConfigError
from srx_service.protocols import DECODERS

ENTRY = {
    "class": "Eiger",
    "dcu_host_purple": "dcu",
    "data_port": 26001,
    "dset_name": "/entry/instrument/eiger/data",
}
ROOT = Path(__file__).parents[2]


def config(**keys):
    return DetectorConfig.model_validate(ENTRY | keys)


@pytest.fixture
def write(tmp_path):
    """Write a detectors.yaml and return its path."""

    def _write(text):
        path = tmp_path / "detectors.yaml"
        path.write_text(text)
        return path

    return _write


@pytest.fixture
def refusal(write):
    """Return the text with which a detectors.yaml is refused."""

    def _refusal(text):
        path = write(text)
        with pytest.raises(ConfigError) as error:
            load(path)
        return str(error.value).replace(str(path), "FILE")

    return _refusal


def entry(**keys):
    """An entry as YAML, its own keys from line 2 on, in the order given."""
    lines = [f"  {key}: {value}" for key, value in (keys | ENTRY | keys).items()]
    return "\n".join(["eiger:", *lines, ""])


# --- what is understood


def test_every_entry_of_the_file_that_comes_with_it_is_understood():
    entries = load(ROOT / "detectors.yaml")
    assert {"dummy-eiger", "nanomax-eiger", "formax-zyla"} <= set(entries)
    assert {entry.decoder for entry in entries.values()} == set(DECODERS)


def test_the_predecessors_keys_keep_their_names_and_defaults():
    public = config().public()
    assert public["nworkers"] == 1
    assert public["api_port"] == 5000
    assert (public["compress"], public["rotate"], public["tot"]) == (True, False, None)


def test_what_is_public_can_be_read_again():
    all_keys = config(
        fill_value=float("nan"),
        mask=[[0, 2], [3, 4]],
        file_mode="0640",
        write_root="/d",
    )
    again = DetectorConfig.model_validate(all_keys.public() | {"fill_value": None})
    assert again.public() == all_keys.public() | {"fill_value": None}
    assert all_keys.public()["fill_value"] == "nan"


@pytest.mark.parametrize("written", ["0o640", "0640", "'0o640'", "'0640'", "'640'"])
def test_permissions_are_octal_however_yaml_reads_them(write, written):
    assert load(write(entry(file_mode=written)))["eiger"].file_mode == 0o640


def test_a_port_that_is_not_given_is_the_protocols_own():
    assert config(dcu_host_purple=["a", "b"]).endpoints == (
        "tcp://a:9999",
        "tcp://b:9999",
    )


def test_a_directory_may_hand_on_its_group():
    assert config(dir_mode="0o2770").dir_mode == 0o2770


def test_the_protocol_chooses_the_socket_unless_the_file_does():
    assert config().socket_type == DECODERS["Eiger"].socket == "pull"
    assert config(socket="sub").socket_type == "sub"


@pytest.mark.parametrize(
    ("keys", "timeout_s"),
    [({}, 2.0), ({"socket": "sub"}, 0.0), ({"gap_timeout": 5}, 5.0)],
)
def test_a_gap_is_waited_for_as_the_socket_needs(keys, timeout_s):
    assert config(**keys).gap_timeout_s == timeout_s


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({}, "fill"),
        ({"socket": "sub"}, "fill"),
        ({"missing": "skip"}, "skip"),
        ({"class": "Jungfrau"}, "skip"),
        ({"class": "Jungfrau", "missing": "fill"}, "fill"),
        ({"class": "Jungfrau", "socket": "pull"}, "fill"),
    ],
)
def test_missing_frames_leave_rows_unless_a_preview_leaves_them_out(keys, rule):
    assert config(**keys).missing_rule == rule
    is_preview = keys.get("class") == "Jungfrau" and "socket" not in keys
    assert config(**keys).leaves_out == is_preview


def test_a_dataset_is_named_from_the_root():
    assert config(dset_name="entry/data/images").dataset == "/entry/data/images"


def test_an_empty_mask_is_none():
    assert config(mask=[]).mask is None


def test_a_class_of_ones_own_is_imported(monkeypatch, tmp_path):
    (tmp_path / "beamline.py").write_text(
        "class Own:\n    socket = 'sub'\n    ports = (7,)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = config(**{"class": "beamline:Own"})
    assert own.decoder_class.__name__ == "Own"
    assert (own.socket_type, own.endpoints) == ("sub", ("tcp://dcu:7",))


@pytest.mark.parametrize("name", ["nowhere.at_all:Own", "json:Own"])
def test_a_class_of_ones_own_that_is_not_there_is_named(name):
    with pytest.raises(ConfigError, match=f"class: {name}: "):
        _ = config(**{"class": name}).decoder_class


def test_settings_do_not_show_the_token():
    assert "secret" not in repr(Settings(Path("/s"), api_token="secret"))


# --- what is refused


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (
            {"nworker": 2},
            "nworker: unknown key (did you mean 'nworkers'?); allowed are: ",
        ),
        ({"colour": 1}, "colour: unknown key; allowed are: announce, api_bod"),
        ({"class": "Egier"}, "class: should be one of DectrisStream2, Detector, Eige"),
        ({"pipeline": "Sharpen"}, "pipeline: should be one of "),
        (
            {"dcu_host_purple": "tcp://dcu:1"},
            "dcu_host_purple: should be a host name or a",
        ),
        (
            {"dcu_host_purple": "[]"},
            "dcu_host_purple: should be a host, or a list of t",
        ),
        (
            {"dcu_port_purple": 70000},
            "dcu_port_purple: should be less than or equal to ",
        ),
        ({"data_port": "'26001'"}, "data_port: should be a valid integer, not '26001'"),
        ({"nworkers": 0}, "nworkers: should be greater than or equal to 1, not 0"),
        ({"rotate": 1}, "rotate: should be a valid boolean, not 1"),
        ({"rotate": "0x" + "f" * 5000}, "rotate: should be a valid boolean, not a num"),
        ({"nworkers": "[" * 90 + "]" * 90}, "nworkers: should be a valid integer, not"),
        ({"socket": "push"}, "socket: should be 'pull' or 'sub', not 'push'"),
        (
            {"frames_per_chunk": 0},
            "frames_per_chunk: should be greater than 0 or should",
        ),
        ({"gap_timeout": -1}, "gap_timeout: should be greater than or equal to 0, not"),
        ({"gap_timeout": ".nan"}, "gap_timeout: should be a finite number, not nan"),
        ({"mask": "[[0, 1]]"}, "mask: should be [[first row, last row + 1], [first co"),
        ({"mask": "[[2, 1], [0, 1]]"}, "mask: should be [[first row, last row + 1], "),
        ({"write_root": "data"}, 'write_root: should begin with "/", not '),
        ({"dset_name": "/entry/../x"}, 'dset_name: should be a path such as "/entry/'),
        ({"dset_name": "/"}, 'dset_name: should be a path such as "/entry/'),
        ({"file_mode": 644}, "file_mode: should be octal permission bits as text, suc"),
        (
            {"file_mode": "rw"},
            "file_mode: should be octal permission bits as text, suc",
        ),
        (
            {"fill_value": "none"},
            "fill_value: should be a valid integer or should be a",
        ),
    ],
)
def test_a_key_that_cannot_be_used_is_named_with_its_line(refusal, keys, text):
    assert refusal(entry(**keys)).startswith(f"FILE:2: eiger: {text}")


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"data_port": 5000}, "port 5000 is used twice: data_port and api_port"),
        (
            {"dcu_host_purple": "localhost", "data_port": 9999},
            "port 9999 is used twice: data_port and the detector at tcp://localhost:9999",
        ),
        ({"pub_port": 26001}, "port 26001 is used twice: data_port and pub_port"),
        ({"pub_port": 5000}, "port 5000 is used twice: api_port and pub_port"),
        (
            {"dcu_port_purple": "[7, 7]"},
            "tcp://dcu:7 is connected to twice; nworkers is what makes parallel "
            "connections",
        ),
        (
            {"dcu_host_purple": "[a, b]", "dcu_port_purple": "[1, 2, 3]"},
            "2 hosts in dcu_host_purple but 3 ports in dcu_port_purple: give as many, "
            "or one of either",
        ),
    ],
)
def test_a_port_that_is_used_twice_is_named(refusal, keys, text):
    assert refusal(entry(**keys)) == f"FILE:1: eiger: {text}"


def test_any_free_port_may_be_asked_for_twice():
    assert config(data_port=0, api_port=0).forward_port == 0


def test_a_missing_key_is_named(refusal):
    assert "FILE:1: eiger: dset_name: this key is required" in refusal(
        "eiger:\n  class: Eiger\n  data_port: 1\n  dcu_host_purple: a\n"
    )


def test_a_key_given_twice_is_named(refusal):
    text = f"{entry(nworkers=2)}  nworkers: 3\n"
    assert refusal(text) == "FILE:2: eiger: nworkers: given twice, in line 7 again"


def test_an_entry_given_twice_is_named(refusal):
    assert refusal(
        entry() + entry()
    ) == "FILE:1: eiger: given twice, in line 6 again" or (
        "FILE:1: eiger: given twice, in line 6 again" in refusal(entry() + entry())
    )


def test_all_problems_of_a_file_are_told_at_once_in_its_order(refusal):
    lines = refusal(f"{entry(rotate=1, socket='x')}second: 5\n7: {{}}\n").splitlines()
    assert [line.split(": should")[0] for line in lines[:3]] == [
        "FILE:2: eiger: rotate",
        "FILE:3: eiger: socket",
        "FILE:8: second",
    ]
    assert lines[3] == "FILE:9: 7: the name of an entry should be text"


def test_an_unknown_entry_is_told_the_nearest(write):
    with pytest.raises(
        ConfigError, match=r"no entry 'egier' \(did you mean 'eiger'\?\)"
    ):
        load_one(write(entry()), "egier")


def test_one_entry_is_read_whatever_is_wrong_with_others(write):
    path = write(f"{entry()}other:\n  class: Nothing\n  class: Nothing\n")
    assert load_one(path, "eiger").decoder == "Eiger"
    with pytest.raises(ConfigError, match="class: given twice"):
        load_one(path, "other")


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"curve_clients": "/c"}, "curve_clients needs curve_key, a secret key of "),
        ({"curve_source": "/s.key"}, "curve_source needs curve_key, a secret key of "),
        ({"curve_key": "/k"}, "curve_key protects nothing without curve_clients or cu"),
        (
            {"curve_key": "/k", "curve_clients": "/c", "announce": "all"},
            "announce: all cannot be had with curve_clients: keep one of them",
        ),
    ],
)
def test_keys_that_would_protect_nothing_are_refused(refusal, keys, text):
    assert refusal(entry(**keys)).startswith(f"FILE:1: eiger: {text}")


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"class": "Detector"}, "nexus: nxmx is for class DectrisStream2 and Eiger"),
        ({"class": "own.module:Eiger"}, "nexus: nxmx is for class DectrisStream2 and"),
        ({"dset_name": "/entry/data/data"}, "nexus: nxmx needs a dset_name such as /"),
    ],
)
def test_nexus_is_for_detectors_and_places_that_it_fits(refusal, keys, text):
    found = refusal(entry(nexus="nxmx", **keys))
    assert found.startswith(f"FILE:1: eiger: {text}")


def test_directions_get_the_length_1():
    axes = config(nexus="nxmx", goniometer={"phi": [0, 0, 2], "omega": [3, 4, 0]})
    assert axes.goniometer == {"phi": (0, 0, 1), "omega": (0.6, 0.8, 0)}
    assert [*axes.goniometer] == ["phi", "omega"]


@pytest.mark.parametrize("axis", ["[0, 0, 0]", "[1, 0]", "x", "[.nan, 0, 1]"])
def test_what_is_no_direction_is_refused(refusal, axis):
    found = refusal(entry(goniometer=f"{{omega: {axis}}}"))
    assert found.startswith("FILE:2: eiger: goniometer")


KEYS = sorted(DetectorConfig.model_construct().public() | ENTRY)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.integers() | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(KEYS) | st.integers(), ANYTHING, max_size=4))
def test_whatever_an_entry_holds_it_is_used_or_refused(entry):
    document = Document(Path("f"), {"x": ENTRY | entry})
    found = validate(document, "x", DetectorConfig)
    assert (found is None) == bool(document.problems)


def test_a_lambda_has_an_endpoint_for_each_of_its_modules():
    assert len(config(**{"class": "Lambda", "dcu_port_purple": None}).endpoints) == 4
    with pytest.raises(ValueError, match="each of 4 modules has one"):
        config(**{"class": "Lambda", "dcu_port_purple": [9010, 9011]})
