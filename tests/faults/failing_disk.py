"""A disk that fails on demand: a VFS over the real one, whose writes and syncs of chosen files raise while told to.

Everything below is real (files, WAL, shared memory); only the answer of the disk is not.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw


class FailingDisk:
    """Name it as `vfs`. `failing` maps an operation (`sync`, `write`) to the end of a file's name and the error."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failing: dict[str, tuple[str, type[apsw.Error], int]] = {}
        self.failures = 0
        self._vfs = _Vfs(self)

    @contextmanager
    def fail(self, operation: str, suffix: str, error: type[apsw.Error], extended: int) -> Iterator[None]:
        self.failing[operation] = (suffix, error, extended)
        try:
            yield
        finally:
            del self.failing[operation]

    def check(self, operation: str, file: str) -> None:
        suffix, error, extended = self.failing.get(operation, ("\0", apsw.IOError, 0))
        if file.endswith(suffix):
            self.failures += 1
            problem = error(f"{operation} of {file} fails by order")
            problem.extendedresult = extended
            raise problem

    def close(self) -> None:
        self._vfs.unregister()


class _Vfs(apsw.VFS):
    def __init__(self, disk: FailingDisk) -> None:
        super().__init__(disk.name, "unix")
        self._disk = disk

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(self._disk, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.check("sync", self._name)
        super().xSync(flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.check("write", self._name)
        super().xWrite(data, offset)

    def excepthook(self, *exception: object) -> None:
        """The error is raised from the statement anyway; keep it off the screen."""
