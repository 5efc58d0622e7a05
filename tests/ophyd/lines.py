"""Documents in words, a line each."""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

PAUSED = "  (paused, resumed)"
"""Among documents: what happened meanwhile."""


def lines(documents: list[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """Yield a line for each document, or for several that are alike."""
    for (name, _), group in groupby(documents, _together):
        same = [document for _, document in group]
        times = f" \N{MULTIPLICATION SIGN}{len(same)}" if len(same) > 1 else ""
        yield f"{name}{times}".ljust(20) + DETAILS[name](same)


def _together(named: tuple[str, dict[str, Any]]) -> tuple[str, str]:
    """What documents have in common that share a line."""
    name, document = named
    if name == "stream_datum":
        return name, str(document["indices"])
    return name, document["uid"] if name in ("event", "descriptor") else ""


def _descriptor(same: list[dict[str, Any]]) -> str:
    [document] = same
    keys = [
        name + (f" {key['shape']}" if key["shape"] else "")
        for name, key in sorted(document["data_keys"].items())
    ]
    return f"{document['name']}: {', '.join(keys)}"


def _resource(same: list[dict[str, Any]]) -> str:
    [document] = same
    frames = document["resource_kwargs"]["frame_per_point"]
    return f"{document['spec']}, frame_per_point {frames}"


def _datum(same: list[dict[str, Any]]) -> str:
    return ", ".join(f"point {one['datum_kwargs']['point_number']}" for one in same)


def _stream_resource(same: list[dict[str, Any]]) -> str:
    keys = ", ".join(document["data_key"] for document in same)
    multipliers = {document["parameters"].get("multiplier") for document in same}
    return keys + "".join(f"; multiplier {n}" for n in multipliers if n)


def _stream_datum(same: list[dict[str, Any]]) -> str:
    indices, numbers = same[0]["indices"], same[0]["seq_nums"]
    return (
        f"indices {indices['start']}:{indices['stop']}, "
        f"seq_nums {numbers['start']}:{numbers['stop']}"
    )


def _event(same: list[dict[str, Any]]) -> str:
    [document] = same
    told = [name for name in sorted(document["data"]) if "missing" in name]
    data = "".join(f", {name} {document['data'][name]}" for name in told)
    return f"seq_num {document['seq_num']}{data}"


DETAILS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "start": lambda same: same[0].get("plan_name", ""),
    "descriptor": _descriptor,
    "resource": _resource,
    "datum": _datum,
    "stream_resource": _stream_resource,
    "stream_datum": _stream_datum,
    "event": _event,
    "event_page": lambda same: f"seq_nums {same[0]['seq_num']}",
    "stop": lambda same: same[0]["exit_status"],
    PAUSED: lambda same: "",
}
"""What a line says of its documents, by their kind."""
