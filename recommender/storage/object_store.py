"""Object store: objects behind an fsspec URL, such as ``s3://bucket/folder``.

Of what object stores can do, only three things are relied on, which all of them promise: an object appears whole or
not at all, `create` fails where there is one already, and a listing shows what was created before it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from recommender.errors import InvalidDataError, MissingExtraError, StateUnavailableError
from recommender.storage import atomic_files


class Bucket:
    """Objects below a URL, by their names relative to it.

    Whatever keeps it from answering is a `StateUnavailableError`; only where an object that is asked for is not there
    it is a ``FileNotFoundError``.

    Parameters
    ----------
    url
        Keys and endpoint come from the environment, as the library behind the scheme wants them.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._files, self._root = _opened(self.url)

    def __truediv__(self, name: str) -> Bucket:
        return Bucket(f"{self.url}/{name}")

    def sizes(self) -> dict[str, int]:
        """Bytes of every object, by name: one listing."""
        with self._answering():
            found = self._files.find(self._root, detail=True)
        start = len(self._root) + 1
        return {path[start:]: int(about["size"]) for path, about in found.items()}

    def read(self, name: str) -> bytes:
        """Content of an object."""
        with self._answering(name):
            content: bytes = self._files.cat_file(self._path(name))
        return content

    def create(self, name: str, content: bytes) -> bool:
        """Make an object; False when there is another of this name, which stays as it is."""
        with self._answering():
            try:
                self._files.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                # a backend that sends a lost request again meets what it has just made
                return bool(self._files.cat_file(self._path(name)) == content)
        return True

    def upload(self, path: Path, name: str) -> None:
        """Copy a file into an object."""
        with self._answering():
            self._files.put_file(str(path), self._path(name))

    def download(self, name: str, path: Path) -> None:
        """Copy an object into a file, which appears as a whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(atomic_files.temporary_name())
        try:
            with self._answering(name):
                self._files.get_file(self._path(name), str(temporary))
            os.replace(temporary, path)  # noqa: PTH105 (a copy; nothing is lost with it)
        finally:
            temporary.unlink(missing_ok=True)

    def written_at(self, name: str) -> float:
        """When an object was made, in seconds since the epoch, by the clock of the store."""
        with self._answering(name):
            seconds: float = self._files.modified(self._path(name)).timestamp()
        return seconds

    def remove(self, names: Collection[str]) -> None:
        """Remove objects; those that are gone already do no harm."""
        for name in names:
            with suppress(FileNotFoundError), self._answering(name):
                self._files.rm_file(self._path(name))

    def cache(self) -> Path:
        """Folder of this machine for copies of what is here; every process of the machine may use it."""
        folder = atomic_files.user_cache() / "state" / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _answering(self, wanted: str | None = None) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if wanted is not None and isinstance(error, FileNotFoundError):
                raise FileNotFoundError(f"{self.url}/{wanted} does not exist") from error
            # each backend has errors of its own, and few of them are OSErrors
            raise StateUnavailableError(f"{self.url} does not answer: {error}") from error


def is_url(location: object) -> bool:
    """Whether a state is kept in a bucket, not in a folder."""
    return isinstance(location, str) and "://" in location


def within(location: str | Path, name: str) -> str | Path:
    """Folder `name` of a state that is kept in a folder or in a bucket."""
    return f"{str(location).rstrip('/')}/{name}" if is_url(location) else Path(location) / name


def _opened(url: str) -> tuple[Any, str]:
    try:
        import fsspec  # noqa: PLC0415 (an extra)

        # a listing that was kept would not show what others have created since
        found, root = fsspec.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise MissingExtraError(f"for a state at {url} install lightfm-serve[s3]: {error}") from error
    except ValueError as error:
        raise InvalidDataError(f"{url} is no URL that fsspec knows: {error}") from error
    return found, str(root).rstrip("/")
