"""What one configuration does to images."""

import sys
from dataclasses import dataclass

import numpy as np
import pytest

from srx_service.config import DetectorConfig
from srx_service.errors import ConfigError
from srx_service.steps import transforms
from srx_service.transforms import TRANSFORMS
from srx_service.transforms.assemble import Assemble
from srx_service.transforms.orca import OrcaPipeline
from srx_service.transforms.pilatus import PilatusPipeline

ENTRY = {
    "class": "Detector",
    "dcu_host_purple": "127.0.0.1",
    "data_port": 0,
    "dset_name": "/entry/data/data",
}


class Plain:
    """A site's own transform, without parameters."""

    def apply(self, image, start):
        return image


@dataclass(frozen=True)
class OfItsOwn:
    """A site's own; `strength` is no key of an entry."""

    rotate: bool
    strength: int = 3

    def apply(self, image, start):
        return image


def config(**keys):
    return DetectorConfig.model_validate(ENTRY | keys)


def test_nothing_is_done_to_images_without_being_asked_for():
    assert transforms(config(rotate=True, mask=[[0, 1], [0, 1]])) == []


def test_a_pipeline_gets_the_keys_that_are_its_parameters():
    keys = {"compress": False, "rotate": True, "mask": [[0, 2], [5, 9]]}
    steps = transforms(config(pipeline="PilatusPipeline", **keys))
    mask = ((0, 2), (5, 9))
    assert steps == [PilatusPipeline(compress=False, rotate=True, mask=mask)]


def test_the_table_of_energies_is_loaded_at_once(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.npz cannot be read"):
        transforms(config(pipeline="PilatusPipeline", tot=str(tmp_path / "none.npz")))
    np.savez(tmp_path / "tot.npz", tot_to_energy_tensor=np.ones((2, 3, 4)))
    path = str(tmp_path / "tot.npz")
    assert transforms(config(pipeline="PilatusPipeline", tot=path)) == [
        PilatusPipeline(tot=path)
    ]


def test_modules_are_assembled_before_the_pipeline():
    steps = transforms(config(pipeline="OrcaPipeline", assemble=True))
    assert steps == [Assemble(), OrcaPipeline()]


@pytest.mark.parametrize(("name", "made"), [("Plain", Plain), ("OfItsOwn", OfItsOwn)])
def test_a_sites_own_class_is_made_with_what_it_names(name, made, monkeypatch):
    monkeypatch.setitem(sys.modules, "sites", sys.modules[__name__])
    (step,) = transforms(config(pipeline=f"sites:{name}", rotate=True))
    assert isinstance(step, made)
    if made is OfItsOwn:
        assert step == OfItsOwn(rotate=True, strength=3)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_name_of_the_table_is_a_transform(name):
    assert callable(config(pipeline=name).transform_class.apply)
