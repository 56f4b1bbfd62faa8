"""The `.part` file of a download, and what is known of the resource that it is a part of.

`<path>.part` has the bytes received so far, in order. `<path>.part.json` says which resource they
belong to: a digest of its URL, its validator (RFC 9110, section 8.8) and its length. Bytes without
a matching record are discarded. The file is locked, so that two downloads never write to it;
`commit` gives it its final name.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import BinaryIO

from ..errors import InvalidRequest

__all__ = ["PartFile", "Resource"]

MAX_RECORD = 65536  # bytes of the `.part.json` that are read


@dataclass(frozen=True, slots=True)
class Resource:
    """What a download receives: which URL, in which state, of what length."""

    url_digest: str
    validator: str | None = None  # for If-Range; None: the download cannot be continued
    total: int | None = None


class PartFile:
    """The file that a download writes to. Use it by `with`, which closes it and keeps it."""

    def __init__(self, path: str, url: str, *, resume: bool = True) -> None:
        self.path = path
        self.part = f"{path}.part"
        self.record = f"{path}.part.json"
        self.url_digest = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
        self.resource = Resource(self.url_digest)
        self.size = 0
        self._resume = resume
        self._file: BinaryIO | None = None

    def __enter__(self) -> PartFile:
        self._file = self._open()
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self.resource = self._read_record()
            if self.resource.validator is None or not self._resume:
                self.restart(Resource(self.url_digest))
            self._file.seek(self.size)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> BinaryIO:
        """Open and lock the file; one that was renamed before the lock was acquired is not it."""
        while True:
            descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            file = os.fdopen(descriptor, "r+b", buffering=0)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), os.stat(self.part)):
                    return file
            except BlockingIOError:
                file.close()
                raise InvalidRequest(f"{self.part} is being written by another download") from None
            except FileNotFoundError:
                pass
            except BaseException:
                file.close()
                raise
            file.close()

    def _read_record(self) -> Resource:
        """The record of the bytes that are there, or an empty one if it does not match."""
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
            with open(self.record, "rb") as file:
                resource = Resource(**json.loads(file.read(MAX_RECORD)))
            is_sound = isinstance(resource.validator, str) and (
                resource.total is None
                or (type(resource.total) is int and resource.total >= self.size)
            )
            if is_sound and resource.url_digest == self.url_digest:
                return resource
        return Resource(self.url_digest)

    def restart(self, resource: Resource) -> None:
        """Discard the bytes that are there; those that follow belong to `resource`."""
        assert self._file is not None
        self._file.truncate(0)
        self._file.seek(0)
        self.size = 0
        self.resource = resource
        if resource.validator is None:
            self._remove(self.record)
            return
        temporary = f"{self.record}.new"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(asdict(resource), file)
        os.replace(temporary, self.record)

    def write(self, data: bytes) -> None:
        """Append `data`. After an error, `size` still is the number of bytes in the file."""
        assert self._file is not None
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self.size += written
            view = view[written:]

    def read(self, at: int, size: int) -> bytes:
        """Up to `size` of the bytes from position `at`."""
        assert self._file is not None
        return os.pread(self._file.fileno(), size, at)

    def commit(self) -> None:
        """Give the file its final name, replacing what has that name."""
        os.replace(self.part, self.path)
        self._remove(self.record)

    def discard(self) -> None:
        """Remove the file and its record."""
        self._remove(self.part)
        self._remove(self.record)

    @staticmethod
    def _remove(path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
