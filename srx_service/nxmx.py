"""What a DECTRIS header says, in the words of NXmx, NeXus' definition for diffraction.

Sources: NXmx and NXdetector of the NeXus definitions 2026.01, manual.nexusformat.org;
SIMPLON API reference of DECTRIS; github.com/dectris/documentation, stream_v2 and
filewriter_v2. What users say in header_appendix has the names that PSI uses there.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from srx_service.codecs import jsontext
from srx_service.errors import ProtocolError

CLASSES = ("DectrisStream2", "Eiger")
"""Protocols whose headers are understood, by their `class:`."""
DATASET = re.compile(r"/entry/instrument/(?!(?:beam|attenuator)/)[^/]+/data")
"""Where the frames may be: in an NXdetector of the instrument."""
HC_EV_ANGSTROM = 12398.419843320026
"""Planck's constant times the speed of light, exact in SI."""
MAX_TEXT = 1000
Vector = tuple[float, float, float]
"""In NeXus' frame: z along the beam, y upwards, x to the left of who looks along it."""


class NxmxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What no header says: see the keys of the same names in detectors.yaml."""

    instrument_name: str | None = None
    source_name: str | None = None
    goniometer: dict[str, Vector] = {}
    """Axes from the sample outwards."""


class Told(NamedTuple):
    """A value, and its unit."""

    value: float | str | list[float]
    units: str = ""


def number(value: object) -> float | None:
    """Return a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def positive(value: object) -> float | None:
    """Return a number above 0; DECTRIS says 0 for what nobody has set."""
    found = number(value)
    return found if found is not None and found > 0 else None


def count(value: object) -> int | None:
    """Return a number that counts."""
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def truth(value: object) -> bool | None:
    """Return true or false."""
    return value if type(value) is bool else None


def text(value: object) -> str | None:
    """Return a text that is not empty, as HDF5 can hold it."""
    if not isinstance(value, str):
        return None
    clean = value.replace("\0", "").encode(errors="replace").decode()
    return clean[:MAX_TEXT] or None


class Field(NamedTuple):
    """A field of NXmx, and where it comes from."""

    path: str
    """Its group and name."""
    keys: tuple[str, ...]
    """In headers: of stream v1, and of v2 where it has another name."""
    read: Callable[[object], Any]
    units: str = ""


HEADER = (
    Field("detector/description", ("description", "detector_description"), text),
    Field(
        "detector/serial_number", ("detector_number", "detector_serial_number"), text
    ),
    Field("detector/sensor_material", ("sensor_material",), text),
    Field("detector/sensor_thickness", ("sensor_thickness",), positive, "m"),
    Field("detector/x_pixel_size", ("x_pixel_size", "pixel_size_x"), positive, "m"),
    Field("detector/y_pixel_size", ("y_pixel_size", "pixel_size_y"), positive, "m"),
    Field("detector/distance", ("detector_distance",), positive, "m"),
    Field("detector/beam_center_x", ("beam_center_x",), number, "pixel"),
    Field("detector/beam_center_y", ("beam_center_y",), number, "pixel"),
    Field("detector/count_time", ("count_time",), positive, "s"),
    Field("detector/frame_time", ("frame_time",), positive, "s"),
    Field("detector/detector_readout_time", ("detector_readout_time",), number, "s"),
    Field("detector/bit_depth_readout", ("bit_depth_readout",), count),
    Field(
        "detector/saturation_value",
        ("countrate_correction_count_cutoff", "saturation_value"),
        count,
    ),
    Field(
        "detector/flatfield_applied",
        ("flatfield_correction_applied", "flatfield_enabled"),
        truth,
    ),
    Field(
        "detector/pixel_mask_applied",
        ("pixel_mask_applied", "pixel_mask_enabled"),
        truth,
    ),
    Field(
        "detector/countrate_correction_applied",
        ("countrate_correction_applied", "countrate_correction_enabled"),
        truth,
    ),
    Field(
        "detector/virtual_pixel_interpolation_applied",
        ("virtual_pixel_correction_applied", "virtual_pixel_interpolation_enabled"),
        truth,
    ),
    Field("beam/incident_energy", ("photon_energy", "incident_energy"), positive, "eV"),
    Field(
        "beam/incident_wavelength",
        ("wavelength", "incident_wavelength"),
        positive,
        "angstrom",
    ),
)
USER = (
    Field("sample/name", ("sample_name",), text),
    Field("instrument/name", ("instrument_name",), text),
    Field("source/name", ("source_name",), text),
    Field("beam/total_flux", ("total_flux",), positive, "Hz"),
    Field("attenuator/attenuator_transmission", ("attenuator_transmission",), positive),
)
"""What no detector knows: from header_appendix, or who armed."""
REQUIRED = (
    "sample/name",
    "instrument/name",
    "source/name",
    "detector/sensor_material",
    "detector/sensor_thickness",
    "beam/incident_wavelength",
)
"""By NXmx, of what a header may leave out."""
GEOMETRY = (
    "detector/x_pixel_size",
    "detector/y_pixel_size",
    "detector/distance",
    "detector/beam_center_x",
    "detector/beam_center_y",
)
"""Without these the geometry is not the true one."""


def fields_of(header: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Told]:
    """Return the fields of NXmx that are known, by path; what cannot be is left out.

    Args:
        header: As the detector sent it.
        said: By users, see USER.
    """
    found = dict([*_read(HEADER, header), *_read(USER, said)])
    wavelength, energy = "beam/incident_wavelength", "beam/incident_energy"
    if wavelength not in found and energy in found:
        length = positive(HC_EV_ANGSTROM / amount(found, energy))
        if length is not None:
            found[wavelength] = Told(length, "angstrom")
    if "detector/distance" not in found:  # stream v2 says it in another way
        match header.get("detector_translation"):
            case [_, _, along] if (distance := positive(along)) is not None:
                found["detector/distance"] = Told(distance, "m")
    return found


def _read(
    fields: tuple[Field, ...], source: Mapping[str, Any]
) -> Iterator[tuple[str, Told]]:
    for path, keys, read, units in fields:
        for key in keys:
            if (value := read(source.get(key))) is not None:
                yield path, Told(value, units)
                break


def amount(found: Mapping[str, Told], path: str) -> float:
    """Return the value of a field that is a number.

    Raises:
        KeyError: Nobody said it.
    """
    value = found[path].value
    assert isinstance(value, int | float)
    return float(value)


def missing(found: Mapping[str, Told]) -> list[str]:
    """Return what NXmx asks for, or the geometry needs, and nobody said."""
    named = {field.path: field.keys[0] for field in USER}
    return [
        f"{path} ({named[path]})" if path in named else path
        for path in (*REQUIRED, *GEOMETRY)
        if path not in found
    ]


def said_by(appendix: bytes) -> dict[str, Any]:
    """Return what a user says in header_appendix; nothing where that is no object."""
    if not appendix.lstrip().startswith(b"{"):
        return {}
    try:
        return jsontext.read_object(appendix, "appendix", jsontext.MAX_HEADER_BYTES)
    except ProtocolError:
        return {}


def thresholds(header: Mapping[str, Any], channels: list[str]) -> dict[str, Told]:
    """Return the threshold of each channel; a difference has those of its two."""
    told = header.get("threshold_energy")
    by_name = told if isinstance(told, dict) else {}
    energies = {
        name: energy
        for name, value in by_name.items()
        if (energy := positive(value)) is not None
    }
    if (single := positive(told)) is not None and len(channels) == 1:
        energies[channels[0]] = single
    found = {name: Told(energies[name], "eV") for name in channels if name in energies}
    both = [energies[k] for k in ("threshold_1", "threshold_2") if k in energies]
    if "difference" in channels and len(both) == 2:
        found["difference"] = Told(both, "eV")
    return found


def vector_of(value: object) -> Vector | None:
    """Return a direction, of length 1; None for what is none."""
    match value:
        case [x, y, z]:
            parts = [number(x), number(y), number(z)]
        case _:
            return None
    known = [part for part in parts if part is not None]
    length = math.hypot(*known)
    if len(known) < 3 or not 0 < length < math.inf:
        return None
    return known[0] / length, known[1] / length, known[2] / length


def goniometer(options: NxmxOptions, said: Mapping[str, Any]) -> dict[str, Vector]:
    """Return the axes and their directions: the user's own word goes first."""
    return {
        name: vector_of(said.get(f"{name}_rotation_axis")) or vector
        for name, vector in options.goniometer.items()
    }
