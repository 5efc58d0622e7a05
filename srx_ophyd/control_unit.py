"""A DECTRIS control unit, over SIMPLON: its values, by key, and its commands.

Source: DECTRIS, SIMPLON API Reference, version 1.8 (EIGER2, PILATUS4) and 1.6 (EIGER).

`GET /detector/api/version` answers `{"value": "1.8.0"}`; then, below
`/<module>/api/<version>/`:

| request                    | answer                                           |
|----------------------------|--------------------------------------------------|
| GET config/<key>           | `{"value", "value_type", "access_mode"}`, where  |
|                            | they apply `unit, min, max, allowed_values`      |
| GET status/<key>           | likewise                                         |
| PUT config/<key> {"value"} | the keys that changed with it, or null           |
| PUT command/<name>         | `{"sequence id": n}` of what concerns a series   |

A key is written as "detector/config/count_time". Every request ends within a bounded
time. What changes nothing when it is done twice is asked for once more when its answer
was lost; a command is not.
"""

import logging
import math
import time
from collections.abc import Collection
from typing import Any

from srx_ophyd.driver import DriverError
from srx_ophyd.endpoint import Endpoint, Json

logger = logging.getLogger(__name__)

SET_TIMEOUT_S = 30.0
"""A new energy takes several seconds to be set (areaDetector/ADEiger, PR 45)."""
EXACT = 1e-9
"""Relative: what floats lose on their way through text."""
POLL_S, MAX_POLL_S = 0.02, 0.5
"""Between two looks at the state: at first, and in the end."""


class ControlUnit:
    """One control unit.

    Args:
        url: Its address: "http://172.16.119.200".
        version: Of the API, as it stands in the paths; None: asked for.
        timeout_s: For connecting and for each answer, where no longer one is given.
    """

    def __init__(self, url: str, version: str | None, timeout_s: float) -> None:
        self._http = Endpoint("detector", url, timeout_s=timeout_s, error=DriverError)
        self._version = version

    @property
    def url(self) -> str:
        """Its address."""
        return self._http.url

    def version(self) -> str:
        """Return the version of its API."""
        if self._version is None:
            path = "/detector/api/version"
            self._version = str(field(self._http.request("GET", path), "value", path))
        return self._version

    def answer(self, key: str) -> dict[str, Any]:
        """Return a value, with what may be set in its place.

        Raises:
            DriverError: It does not answer, or has no such key; status 404 then.
        """
        try:
            return self._ask(key)
        except DriverError as error:
            if error.status != 404:
                raise
            raise DriverError(f"{error}; {self._firmware(key)}", 404) from error

    def get(self, key: str) -> Json:
        """Return a value."""
        return self.answer(key)["value"]

    def find(self, key: str) -> Json:
        """Return a value; None where this firmware has no such key."""
        try:
            return self._ask(key)["value"]
        except DriverError as error:
            # 404 with API 1.8; 500 with 1.6 (areaDetector/ADEiger, issue 17).
            if error.status is None:
                raise
            return None

    def number(self, key: str) -> float:
        """Return a value that is a number."""
        value = self.get(key)
        try:
            return float(value)
        except (TypeError, ValueError):
            text = f"detector {self.url}: {key} is {value!r:.100}, not a number"
            raise DriverError(text) from None

    def put(self, key: str, value: Json, closeness: float = EXACT) -> bool:
        """Set a value, unless it is that already; return whether it was changed.

        Args:
            key: Of a configuration.
            value: What it is to be.
            closeness: Numbers are the same when they differ by no more, relatively.

        Raises:
            DriverError: It is refused; the text says what is allowed.
        """
        answer = self.answer(key)
        if _is_same(answer["value"], value, closeness):
            return False
        body = {"value": value}
        try:
            self._repeatable(self._path(key), body, SET_TIMEOUT_S)
        except DriverError as error:
            if error.status is None:
                raise
            text = f"{error}; {key} cannot be {value!r}: {_allowed(answer)}"
            raise DriverError(text, error.status) from error
        return True

    def command(
        self,
        name: str,
        value: Json = None,
        *,
        timeout_s: float,
        repeatable: bool = False,
    ) -> Json:
        """Let the detector do something; return its answer.

        Args:
            name: "arm", for example.
            value: What the command takes.
            timeout_s: What it may take.
            repeatable: Done twice it does no harm.
        """
        path = self._path(f"detector/command/{name}")
        body = None if value is None else {"value": value}
        if repeatable:
            return self._repeatable(path, body, timeout_s)
        return self._http.request("PUT", path, body, timeout_s=timeout_s)

    def state(self) -> str:
        """Return the detector's state."""
        return str(self.get("detector/status/state"))

    def state_after(self, passing: Collection[str], deadline_s: float) -> str:
        """Return the state once it is another than these, or when time is up."""
        pause_s = POLL_S
        while (state := self.state()) in passing and time.monotonic() < deadline_s:
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_POLL_S)
        return state

    def errors(self, module: str = "detector") -> str:
        """Return what a module says is wrong, to be put behind its state."""
        found = self.find(f"{module}/status/error")
        listed = found if isinstance(found, list) else [found] if found else []
        return f" ({', '.join(map(str, listed))})" if listed else ""

    def close(self) -> None:
        """Close connections; the next request opens new ones."""
        self._http.close()

    def _repeatable(self, path: str, body: Json, timeout_s: float) -> Json:
        try:
            return self._http.request("PUT", path, body, timeout_s=timeout_s)
        except DriverError as error:
            if not error.may_be_done:
                raise
            logger.warning("%s: asking again", error)
            return self._http.request("PUT", path, body, timeout_s=timeout_s)

    def _ask(self, key: str) -> dict[str, Any]:
        answer = self._http.request("GET", self._path(key))
        field(answer, "value", f"{key} of detector {self.url}")
        return answer

    def _path(self, key: str) -> str:
        module, _, rest = key.partition("/")
        return f"/{module}/api/{self.version()}/{rest}"

    def _firmware(self, key: str) -> str:
        software = self.find("detector/config/software_version")
        told = f"software {software}, " if software else ""
        return f"{told}API {self.version()} has no {key}"


def field(answer: Json, key: str, what: str) -> Json:
    """Return a field of an answer, or raise DriverError with what was asked."""
    if not isinstance(answer, dict) or key not in answer:
        raise DriverError(f"{what} answered without {key!r}: {answer!r:.200}")
    return answer[key]


def _is_same(found: Json, wanted: Json, closeness: float) -> bool:
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return math.isclose(found, wanted, rel_tol=closeness)
    return found == wanted


def _allowed(answer: dict[str, Any]) -> str:
    if answer.get("access_mode") == "r":
        return "it can only be read"
    if values := answer.get("allowed_values"):
        return "allowed are " + ", ".join(map(str, values))
    limits = [
        f"{words} {answer[name]}{_unit(answer)}"
        for name, words in (("min", "at least"), ("max", "at most"))
        if answer.get(name) is not None
    ]
    return ", ".join(limits) or "the detector does not say what is allowed"


def _unit(answer: dict[str, Any]) -> str:
    unit = answer.get("unit")
    return f" {unit}" if unit else ""
