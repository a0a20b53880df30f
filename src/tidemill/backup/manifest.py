"""What a backup says of itself: `manifest.json`, its last file. A backup without one, or whose manifest does not match
its own hash, is not whole. Every other file is in it with its size and SHA-256.
"""

import hashlib
from typing import Final

import msgspec

from tidemill.errors import BackupError
from tidemill.model.offset import seq_of

MANIFEST_FILE: Final = "manifest.json"
MANIFEST_FORMAT: Final = 2  # of a log with several partitions; 1: it has one


class BackupFile(msgspec.Struct, frozen=True):
    """A file of the backup: its path in it (and in the data folder), its size, and its SHA-256 in hexadecimal."""

    path: str
    bytes: int
    sha256: str


class PartitionEnds(msgspec.Struct, frozen=True):
    """Of a partition of the log: the offset up to which everything is applied, and the first and the last entry."""

    position: int
    first_seq: int
    last_seq: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`made_at` is the moment of which the backup is (RFC 3339). Everything up to the offset `position` is applied in
    the store's files (and what `mill/position` says of tenants that are ahead of it); the log holds the entries from
    `first_seq` to `last_seq`; `waiting` of them are not applied yet, and are applied after a restore. So it is of the
    log's first partition; `beside` has the others, and `waiting` counts theirs, too."""

    format: int
    tidemill: str
    engine: str
    sqlite: str
    made_at: str
    position: int
    first_seq: int
    last_seq: int
    waiting: int
    beside: tuple[PartitionEnds, ...] = ()
    files: tuple[BackupFile, ...]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(entry.bytes for entry in self.files)

    @property
    def partitions(self) -> tuple[PartitionEnds, ...]:
        """The ends of every partition of the log, by number."""
        return (PartitionEnds(self.position, self.first_seq, self.last_seq), *self.beside)

    @property
    def reached(self) -> int:
        """How many places the log had handed out, in all partitions."""
        return sum(seq_of(ends.last_seq) for ends in self.partitions)


class _Sealed(msgspec.Struct, frozen=True):
    """`sha256` is the hash of `backup` as it is written."""

    sha256: str
    backup: msgspec.Raw


def encode_manifest(manifest: Manifest) -> bytes:
    """A manifest as the bytes of its file."""
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    return msgspec.json.encode(_Sealed(hashlib.sha256(body).hexdigest(), msgspec.Raw(body))) + b"\n"


def decode_manifest(content: bytes, where: str) -> Manifest:
    """The manifest in the bytes of its file; `where` names the backup. Raises BackupError for damaged bytes, and for a
    newer format."""
    try:
        sealed = msgspec.json.decode(content, type=_Sealed)
        if hashlib.sha256(bytes(sealed.backup)).hexdigest() != sealed.sha256:
            raise ValueError("it does not match its own sha256")
        manifest = msgspec.json.decode(sealed.backup, type=Manifest)
    except ValueError as error:  # msgspec's errors, too
        raise BackupError(f"{where} is damaged: {MANIFEST_FILE}: {error}") from None
    if manifest.format > MANIFEST_FORMAT:
        raise BackupError(f"{where} was made by a newer Tidemill ({manifest.tidemill}); upgrade Tidemill to read it")
    return manifest
