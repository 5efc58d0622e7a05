"""A file compared with the definition NXmx, field by field.

The definition is the one that nexusformat ships. More is asked here than its own
validator asks: units, and the types of what is there, are no matter of taste.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import h5py
import nexusformat

DEFINITIONS = Path(nexusformat.__file__).parent / "definitions"
KINDS = {
    "NX_CHAR": "OS",
    "NX_DATE_TIME": "OS",
    "NX_FLOAT": "f",
    "NX_INT": "iu",
    "NX_NUMBER": "iuf",
    "NX_BOOLEAN": "b",
}
"""numpy's kinds of what a NeXus type may be."""
UNITS = {
    "NX_LENGTH": {"m", "pixel"},
    "NX_TIME": {"s"},
    "NX_ENERGY": {"eV"},
    "NX_WAVELENGTH": {"angstrom"},
    "NX_FREQUENCY": {"Hz"},
    "NX_UNITLESS": {None},
}


def problems(file: h5py.File) -> list[str]:
    """Return all in which a file's entry differs from NXmx."""
    root = ET.parse(DEFINITIONS / "applications" / "NXmx.nxdl.xml").getroot()
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    entry = root.find("group")
    return [*_in_group(file["entry"], entry)]


def _in_group(group, definition) -> Iterator[str]:
    for element in definition:
        name = f"{group.name}/{element.get('name', element.get('type'))}"
        match element.tag:
            case "group":
                found = [*_of_class(group, element.get("type"))]
                if not found and _is_required(element):
                    yield f"{name} is missing"
                for each in found:
                    yield from _in_group(each, element)
            case "field" if element.get("name") in group:
                yield from _in_field(group[element.get("name")], element)
            case "attribute" if element.get("name") in group.attrs:
                yield from _among(group.attrs[element.get("name")], element, name)
            case "field" | "attribute" if _is_required(element):
                yield f"{name} is missing"


def _in_field(dataset, definition) -> Iterator[str]:
    name, kind = dataset.name, definition.get("type", "NX_CHAR")
    if dataset.dtype.kind not in KINDS[kind]:
        yield f"{name} is {dataset.dtype}, not {kind}"
    if definition.get("maxOccurs") == "0" or definition.get("deprecated"):
        yield f"{name} is not used any more"
    allowed = UNITS.get(definition.get("units"), {None})
    if dataset.attrs.get("units") not in allowed:
        yield f"{name} is in {dataset.attrs.get('units')}, not in {allowed}"
    if kind == "NX_DATE_TIME" and "zone" not in name:
        yield from _in_time(dataset.asstr()[()], name)
    if kind == "NX_CHAR":
        yield from _among(dataset.asstr()[()], definition, name)
    yield from _in_attributes(dataset, definition)


def _in_time(when, name) -> Iterator[str]:
    if not when.endswith("Z") or not datetime.fromisoformat(when):
        yield f"{name} is no time in UTC: {when}"


def _in_attributes(dataset, definition) -> Iterator[str]:
    for element in definition.findall("attribute"):
        name = element.get("name")
        if name in dataset.attrs:
            yield from _among(dataset.attrs[name], element, f"{dataset.name}@{name}")
        elif _is_required(element):
            yield f"{dataset.name}@{name} is missing"


def _among(value, definition, name) -> Iterator[str]:
    items = [item.get("value") for item in definition.findall("enumeration/item")]
    if items and value not in items:
        yield f"{name} is {value!r}, not one of {items}"


def _is_required(element) -> bool:
    is_optional = {element.get("optional"), element.get("recommended")} & {"true"}
    return not is_optional and element.get("minOccurs", "1") != "0"


def _of_class(group, nx_class) -> Iterator[h5py.Group]:
    for each in group.values():
        if isinstance(each, h5py.Group) and each.attrs.get("NX_class") == nx_class:
            yield each
