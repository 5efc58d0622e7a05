"""How a device names its files: by a template, or as a path provider says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any, Protocol
from urllib.parse import urlsplit

from bluesky.run_engine import default_scan_id_source

from srx_ophyd.paths import (
    PathMap,
    another_path,
    check_map,
    check_path,
    file_uri,
    plain_path,
    reader_path,
    with_suffix,
)
from srx_ophyd.template import PathTemplate, TemplateError

REMEMBERED = 10_000
"""Paths of a provider that are known as taken; of older ones the service still knows
that a file exists."""


class PathInfo(Protocol):
    """Where a file goes, in ophyd-async's words.

    A `directory_uri`, where it has one that says more than `directory_path`, is where
    readers find it. `create_dir_depth` is not looked at: the service makes what is
    missing.
    """

    @property
    def directory_path(self) -> PurePath:
        """Absolute, as the service sees it."""
        ...

    @property
    def filename(self) -> str:
        """Without a suffix."""
        ...


PathProvider = Callable[[str], PathInfo]
"""ophyd-async's, called with the device's name."""
Where = str | PathProvider


@dataclass(frozen=True, slots=True)
class Named:
    """A path that was handed out, and what its provider said of it."""

    path: PurePosixPath
    folder_uri: str | None = None
    """With a slash at the end; None: the path tells it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a staging's files are named by."""

    now: datetime
    md: Mapping[str, Any]


class FileNames:
    """The paths of one device's files.

    Args:
        where: A template, see PathTemplate, or a path provider.
        path_map: Readers see files elsewhere: prefix of the service's path to prefix of
            theirs, the longest that fits.
        md: What fields of a template are taken from; RE.md normally.
    """

    def __init__(
        self,
        where: Where,
        path_map: PathMap | None = None,
        md: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(md, Mapping | None):
            raise TypeError(f"md is a mapping such as RE.md, not {md!r:.80}")
        self._md = md
        self._map = check_map(path_map)
        self._taken: dict[str, None] = {}
        self._last: Named | None = None
        self._moment: Moment | None = None
        self.where = where

    @property
    def where(self) -> Where:
        """The template or path provider; another one is for the files from now on."""
        return self._where

    @where.setter
    def where(self, where: Where) -> None:
        if not (isinstance(where, str) or callable(where)):
            raise TypeError(
                f"write_path_template is a template or a path provider, not {where!r}"
            )
        self._template = None
        if isinstance(where, str):
            self._template = PathTemplate(where, has_md=self._md is not None)
        self._where = where

    def begin(self) -> None:
        """Note time and metadata: all files of one staging are named by them.

        The second one of a staging is made in its run, whose scan id is in the metadata
        by then. Without a call, each file is named by what is at its moment.
        """
        self._moment = self._look()

    def new(self, name: str) -> str:
        """Return a new path as the service sees it, never the same twice.

        Args:
            name: The device's.

        Raises:
            ValueError: Template, metadata or provider make no path; the text says why.
        """
        moment = self._moment or self._look()
        try:
            self._last = self._ask(name, moment)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        return str(self._last.path)

    def uri(self, path: str) -> str:
        """Return where readers find a file.

        Args:
            path: As the service tells it, which may have resolved links on the way.
        """
        last = self._last
        if last is not None and PurePosixPath(path).parent == last.path.parent:
            return self._uri(last, path)
        mapped = reader_path(path, self._map)
        if mapped == path and last is not None and _is_alike(path, last.path):
            asked = str(last.path.with_name(PurePosixPath(path).name))
            if last.folder_uri or reader_path(asked, self._map) != asked:
                return self._uri(last, asked)
        return file_uri(mapped)

    def path(self, path: str) -> str:
        """Return the same as a path, for documents that know no URI."""
        return urlsplit(self.uri(path)).path

    def _uri(self, named: Named, path: str) -> str:
        if named.folder_uri is not None:
            return f"{named.folder_uri}{PurePosixPath(path).name}"
        return file_uri(reader_path(path, self._map))

    def _look(self) -> Moment:
        return Moment(datetime.now().astimezone(), dict(self._md or {}))

    def _ask(self, name: str, moment: Moment) -> Named:
        if self._template is None:
            assert callable(self._where)
            return self._ask_provider(self._where, name)
        md = moment.md
        if self._template.has_scan_id:
            md = {**md, "scan_id": _next_scan_id(md)}
        return Named(PurePosixPath(self._template.path(name, moment.now, md)))

    def _ask_provider(self, provider: PathProvider, name: str) -> Named:
        what = getattr(provider, "__qualname__", type(provider).__qualname__)
        what = f"path provider {what}"
        try:
            told = provider(name)
        except Exception as error:
            # A user's own code: what it lacks is often no more than a KeyError's word.
            text = f"{what} failed: {type(error).__name__}: {error}"
            raise ValueError(text) from error
        folder, path = _path_told(told, what)
        if path in self._taken:
            path = another_path(path)
        self._taken[path] = None
        while len(self._taken) > REMEMBERED:
            del self._taken[next(iter(self._taken))]
        return Named(PurePosixPath(path), _folder_uri(told, folder, path))


def _next_scan_id(md: Mapping[str, Any]) -> int:
    """Return that of the run to come: devices are staged before it is opened."""
    try:
        return default_scan_id_source(dict(md))
    except TypeError:
        text = f"the metadata's scan_id is {md['scan_id']!r}, which is no number"
        raise TemplateError(text) from None


def _path_told(told: PathInfo, what: str) -> tuple[str, str]:
    """Return folder and whole path."""
    try:
        folder, filename = told.directory_path, told.filename
    except AttributeError as error:
        text = f"{what} gives {told!r:.80}: a directory_path and a filename are wanted"
        raise ValueError(text) from error
    if isinstance(folder, PureWindowsPath):
        raise ValueError(
            f"{what} gives {str(folder)!r}, a path of Windows: the service writes "
            "under Linux, give the path as it sees it"
        )
    if not (isinstance(filename, str) and PurePosixPath(filename).name):
        raise ValueError(f"{what} gives the filename {filename!r}")
    path = plain_path(f"{folder}/{filename}")
    check_path(path, f"{what}, path {path!r:.80}")
    return plain_path(str(folder)), with_suffix(path)


def _folder_uri(told: PathInfo, folder: str, path: str) -> str | None:
    """Return the reader's URI of the file's folder, if it is another than the path."""
    uri = getattr(told, "directory_uri", None)
    if not uri:
        return None
    parts = urlsplit(uri)
    is_plain = parts.scheme == "file" and parts.netloc in ("", "localhost")
    if is_plain and PurePosixPath(parts.path) == PurePosixPath(folder):
        return None
    below = PurePosixPath(path).parent.relative_to(folder)
    return "/".join([uri.rstrip("/"), *below.parts, ""])


def _is_alike(path: str, asked: PurePosixPath) -> bool:
    # Another one that exists makes it `<name>_1f0c92d3.h5`.
    return PurePosixPath(path).name.startswith(asked.stem)
