"""The picture of a soak: what the service holds, over the minutes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.soaking.program import Held

PANELS = {
    "memory_mib": "memory, MiB (VmRSS)",
    "files": "open file descriptors",
    "threads": "threads",
}
GREY, BLUE = "0.75", "tab:blue"


def draw(path: Path, title: str, kept: dict[str, Any]) -> None:
    """Draw what was kept of a soak; the name's ending decides the format."""
    # Not loaded by who only soaks: it takes a second, and finds fonts.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(PANELS), 1, sharex=True)
    samples, at_rest = _held(kept["samples"]), _held(kept["at_rest"])
    for axis, (name, text) in zip(axes, PANELS.items(), strict=True):
        axis.plot(*_line(samples, name), color=GREY, linewidth=1, label="each second")
        axis.plot(*_line(at_rest, name), ".", color=BLUE, markersize=3, label="at rest")
        axis.set_ylabel(text)
        axis.set_ylim(bottom=0)
        axis.axvspan(0, kept["warm_up_s"] / 60, color="0.95")
    axes[0].set_title(title, fontsize="medium")
    axes[0].legend(loc="lower right")
    axes[-1].set_xlabel("minutes")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _held(kept: Sequence[Sequence[float]]) -> list[Held]:
    return [Held(at_s, mib, int(files), int(n)) for at_s, mib, files, n in kept]


def _line(samples: Sequence[Held], name: str) -> tuple[list[float], list[float]]:
    minutes = [sample.at_s / 60 for sample in samples]
    return minutes, [getattr(sample, name) for sample in samples]
