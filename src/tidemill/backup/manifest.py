"""The manifest of a backup: `manifest.json`, written last. It lists every other file with its size and SHA-256.

A backup without a manifest, or whose manifest does not match its own hash, is not whole.
"""

import hashlib
from typing import Final

import msgspec

from tidemill.errors import BackupError
from tidemill.model.offset import seq_of

MANIFEST_FILE: Final = "manifest.json"
MANIFEST_FORMAT: Final = 2  # of a log with several partitions; 1: of a log with one


class BackupFile(msgspec.Struct, frozen=True):
    """A file of a backup: its path in the backup and in the data folder, its size, and its SHA-256 in hexadecimal."""

    path: str
    bytes: int
    sha256: str


class PartitionEnds(msgspec.Struct, frozen=True):
    """The offsets of a partition of the log: the checkpoint up to which everything is applied, the first entry and the
    last."""

    checkpoint: int = msgspec.field(name="position")
    first_seq: int
    last_seq: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The description of a backup. `made_at` is the moment of the data in it (RFC 3339).

    `checkpoint`, `first_seq` and `last_seq` are of the log's first partition, `beside` has those of the others.
    Everything up to the checkpoint is applied in the store's files (and, of tenants that are ahead of it, up to their
    offsets in `mill/position`). The log holds the entries from `first_seq` to `last_seq`; of all partitions, `waiting`
    entries are not applied yet, and are applied after a restore."""

    format: int
    tidemill: str
    engine: str
    sqlite: str
    made_at: str
    checkpoint: int = msgspec.field(name="position")
    first_seq: int
    last_seq: int
    waiting: int
    beside: tuple[PartitionEnds, ...] = ()
    files: tuple[BackupFile, ...]

    @property
    def bytes(self) -> int:
        """The size of all files in bytes."""
        return sum(entry.bytes for entry in self.files)

    @property
    def partitions(self) -> tuple[PartitionEnds, ...]:
        """The offsets of every partition of the log, by number."""
        return (PartitionEnds(self.checkpoint, self.first_seq, self.last_seq), *self.beside)

    @property
    def handed_out(self) -> int:
        """How many offsets the log had handed out, in all partitions."""
        return sum(seq_of(ends.last_seq) for ends in self.partitions)


class _Sealed(msgspec.Struct, frozen=True):
    """A manifest with its hash: `sha256` is of the bytes of `backup`."""

    sha256: str
    backup: msgspec.Raw


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest's file."""
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
