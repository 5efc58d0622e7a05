"""Bluesky with an srx detector: RE, eiger, catalog, plans, bars, tables, pictures.

IPython runs it when it starts with this profile; in another session, `%run` it. What
differs from place to place stands first; the environment may say it, too.
"""

import io
import json
import os
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps  # noqa: F401  for the session, like all of these
import bluesky.plans as bp  # noqa: F401
import bluesky.preprocessors as bpp  # noqa: F401
import httpx
import matplotlib.pyplot as plt
import numpy as np  # noqa: F401
from bluesky import RunEngine
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.callbacks.json_writer import JSONLinesWriter
from bluesky.callbacks.mpl_plotting import QtAwareCallback
from bluesky.plans import count, grid_scan, list_scan, scan  # noqa: F401
from bluesky.utils import ProgressBarManager
from event_model import RunRouter
from ophyd.sim import SynAxis

from srx_ophyd.device import SrxDetector
from srx_ophyd.drivers import SimplonDriver
from srx_ophyd.plans import srx_count_burst, srx_fly  # noqa: F401

SERVICE = os.environ.get("SRX_SERVICE", "http://localhost:5000")
SIMPLON = os.environ.get("SRX_SIMPLON", "http://localhost:8080")
FILES = os.environ.get("SRX_FILES", "/data/%Y-%m/{name}_{scan_id:05d}_{uid8}.h5")
"""Below the service's `write_root`, where Tiled may read."""
TILED = os.environ.get("SRX_TILED", "http://localhost:8000")
"""TILED_API_KEY in the environment allows to write."""
NOTES = Path(os.environ.get("SRX_NOTES", "~/.local/share/srx")).expanduser()
"""Here RE.md outlives a session, and documents go that Tiled did not take."""

# A Tiled that goes away in a run holds it up for seconds then, not for a minute.
os.environ.setdefault("TILED_RETRY_ATTEMPTS", "3")
# Only now, because it reads that when it is imported.
from bluesky_tiled_plugins import TiledWriter  # noqa: E402
from tiled.client import from_uri  # noqa: E402
from tiled.structures.core import Spec  # noqa: E402


class LastFrame(QtAwareCallback):
    """Shows the last frame when a run is over, as the service has it."""

    def stop(self, doc: Any) -> None:  # noqa: ANN401  an argument of bluesky's
        """Draw it; without it the figure stays as it is."""
        try:
            answer = httpx.get(f"{SERVICE}/api/v1/frame/latest.png?scale=log")
            picture = plt.imread(io.BytesIO(answer.raise_for_status().content))
        except httpx.HTTPError as error:
            print(f"no picture of the last frame: {brief(error)}")
            return
        figure = plt.figure("last frame", clear=True)
        figure.subplots().imshow(picture, cmap="gray")
        figure.suptitle(f"last frame of run {doc['run_start'][:8]}")


def brief(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error) or type(error).__name__).splitlines()[0]


def keep_md(_name: str, _start: Any) -> None:  # noqa: ANN401  bluesky's
    """Write RE.md down, at the beginning of every run."""
    new = NOTES / "md.json.new"
    new.write_text(json.dumps(dict(RE.md), default=str))
    new.replace(NOTES / "md.json")


def connect_catalog() -> Any:  # noqa: ANN401  Tiled's clients are of many types
    """Store the runs to come in Tiled and return its catalog; None: it is not there.

    Without Tiled their documents go into files, from which it can take them later.
    """
    while stores:
        RE.unsubscribe(stores.pop())
    documents = str(NOTES / "documents")
    try:
        httpx.get(f"{TILED}/api/v1/").raise_for_status()
        root: Any = from_uri(TILED)
        if "raw" not in root:
            spec = Spec("CatalogOfBlueskyRuns", version="3.0")
            root.create_container("raw", specs=[spec])
    except (httpx.HTTPError, RuntimeError) as error:  # the latter without a key
        print(f"no catalog from {TILED} ({brief(error)}): documents go to {documents}")
        router = RunRouter([lambda *_: ([JSONLinesWriter(documents)], [])])
        stores.append(RE.subscribe(router))
        return None
    writer = TiledWriter(root["raw"], batch_size=1, backup_directory=documents)
    stores.append(RE.subscribe(writer))
    return root["raw"]


(NOTES / "documents").mkdir(parents=True, exist_ok=True)
md = NOTES / "md.json"
RE: Any = RunEngine(json.loads(md.read_text()) if md.exists() else {})
RE.waiting_hook = ProgressBarManager()
RE.subscribe(keep_md, "start")

stores: list[int] = []
catalog = connect_catalog()

plt.ion()
bec = BestEffortCallback()
bec.noplot_streams.append("primary_missing")  # one number a run
RE.subscribe(bec)
RE.subscribe(LastFrame())

eiger = SrxDetector(
    SERVICE,
    name="eiger",
    driver=SimplonDriver(SIMPLON),
    write_path_template=FILES,
    md=RE.md,
)
motor = SynAxis(name="motor")  # until there is a real one
try:
    eiger.wait_for_connection()
except TimeoutError as error:
    print(error)
