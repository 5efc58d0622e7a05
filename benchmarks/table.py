"""Records as text: a few lines for each as it is found, and a table of all."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.verdicts import Figure, is_met_in

COLUMNS = ("work", "figure", "asked for", "found", "verdict", "beside it")

Record = dict[str, Any]


def lines(record: Record) -> Iterator[str]:
    """Yield what is printed of a record."""
    yield record["row"]
    for figure in figures(record):
        verdict = "met" if figure.is_met else "MISSED"
        text = f"  {figure.name} {number(figure.value)} ({figure.bound}): {verdict}"
        yield f"{text}; {figure.beside}" if figure.beside else text
    for name, found in record["details"].items():
        yield f"    {name}: {plain(found)}"


def figures(record: Record) -> list[Figure]:
    """Return what was found."""
    return [Figure.from_dict(kept) for kept in record["figures"]]


def number(value: float) -> str:
    """Return it with as many digits as say something."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def plain(found: object) -> str:
    """Return details in one line."""
    if isinstance(found, dict):
        return ", ".join(f"{name} {plain(value)}" for name, value in found.items())
    if isinstance(found, list):
        return "[" + " ".join(map(plain, found)) + "]"
    return f"{found:,g}" if isinstance(found, int | float) else str(found)


def markdown(records: Iterable[Record]) -> Iterator[str]:
    """Yield one table of all records: a figure is met if it is in two of three."""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "|" + "---|" * len(COLUMNS)
    for row, found in by_row(records).items():
        for k, figure in enumerate(figures(found[-1])):
            beside = beside_it(found) if k == 0 else ""
            beside = beside or figure.beside
            words = [row, figure.name, figure.bound, *cells(found, figure.name)]
            yield "| " + " | ".join([*words, beside]) + " |"


def by_row(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records of each row, in order."""
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        found[record["row"]].append(record)
    return found


def cells(found: list[Record], name: str) -> tuple[str, str]:
    """Return the values of a figure in all tables, and the verdict on them."""
    same = [figure for record in found for figure in figures(record)]
    same = [figure for figure in same if figure.name == name]
    is_met = is_met_in([figure.is_met for figure in same])
    times = f"{sum(figure.is_met for figure in same)} of {len(same)}"
    verdict = "met" if is_met else "missed"
    return ", ".join(number(figure.value) for figure in same), f"{verdict} ({times})"


def misses(records: Iterable[Record]) -> list[str]:
    """Return the figures that are missed, with their rows."""
    return [
        f"{row}: {figure.name}"
        for row, found in by_row(records).items()
        for figure in figures(found[-1])
        if cells(found, figure.name)[1].startswith("missed")
    ]


def beside_it(found: list[Record]) -> str:
    """Return rates and CPU of both sides, over all tables; empty where it has none."""
    details = [record["details"] for record in found]
    against = details[-1].get("against")
    if against is None:
        return ""
    sides = {"service": "service", against: "yardstick"}
    if against != "yardstick":
        sides[against] = "the other"
    return "; ".join(side(f, [each[n] for each in details]) for n, f in sides.items())


def side(name: str, told: list[dict[str, Any]]) -> str:
    """Return the spread of one side's runs, and what its best one cost."""
    rates = [rate for each in told for rate in each["fps"]]
    costs = [each["cpu_us"] for each in told]
    text = f"{name} {min(rates):,.0f} to {max(rates):,.0f} frames/s"
    text += f", {spread(costs)} CPU µs a frame"
    dropped = [count for each in told for count in each.get("dropped", ())]
    got = [count for each in told for count in each.get("client_images", ())]
    frames = [count for each in told for count in each["frames"]]
    if got:
        text += f", client got {sum(got):,} of {sum(frames):,}"
    return text + (f", {sum(dropped):,} dropped" if dropped else "")


def spread(values: list[float]) -> str:
    """Return the least and the most, or the one."""
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"
