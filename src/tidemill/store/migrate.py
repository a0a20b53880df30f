"""Brings a store's schema up to date: applies `sql/schema/NNNN_*.sql` in order, each statement once.

Applied statements are recorded in `schema_migrations` with the hash of their file; a file that changed after it was
applied is refused. After a kill at any point, the next run continues where this one stopped. Two runs must not overlap.
A statement with the comment `/* optional */` is for stores that know what it names; for others it counts as applied.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import polars as pl

from tidemill.errors import StartupError, StoreQueryError
from tidemill.store.client import Store, StoreAddress
from tidemill.store.queries import query

FOLDER = Path(__file__).parent / "sql" / "schema"

_FILE = re.compile(r"\d{4}_[a-z0-9_]+\.sql\Z")
_TABLE_ALREADY_EXISTS = 57
_OPTIONAL = "/* optional */"
_NOT_KNOWN = frozenset({36, 115, 432})  # BAD_ARGUMENTS (a codec that is not enabled), UNKNOWN_SETTING, UNKNOWN_CODEC
_OWN = {
    "create_database": query("create_database", "CREATE DATABASE IF NOT EXISTS {database:Identifier}"),
    "create_record": query(
        "create_record",
        """CREATE TABLE IF NOT EXISTS schema_migrations (
            file String, statement UInt32, sha256 String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
        ) ENGINE = MergeTree ORDER BY (file, statement) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1""",
    ),
    "applied": query(
        "applied", "SELECT file, max(statement) AS last, any(sha256) AS sha256 FROM schema_migrations GROUP BY file"
    ),
}


class Migration(msgspec.Struct, frozen=True):
    """One file of the schema: its statements in order and the SHA-256 of the whole."""

    file: str
    sha256: str
    statements: tuple[str, ...]


class AppliedMigration(msgspec.Struct, frozen=True):
    """How far a file is applied: the number of its last applied statement, from 1, and the hash the file had."""

    last: int
    sha256: str


def migrate(address: StoreAddress, folder: Path = FOLDER) -> list[str]:
    """Create the database and apply the missing statements; returns the names of the files applied now, [] if none.

    Raises StartupError for a changed file and for a store that a newer Tidemill brought up to date, StoreQueryError if
    the store refuses a statement, StoreUnavailableError.
    """
    migrations = read_migrations(folder)
    first = Store(msgspec.structs.replace(address, database="default"), queries=_OWN)
    first.command("create_database", database=address.database)
    first.close()
    statements = {f"{m.file}:{n}": query(f"{m.file}:{n}", sql) for m in migrations for n, sql in _numbered(m)}
    store = Store(address, queries=_OWN | statements)
    try:
        store.command("create_record")
        applied = {row["file"]: AppliedMigration(row["last"], row["sha256"]) for row in store.rows("applied")}
        _refuse_newer(applied, migrations)
        return [m.file for m in migrations if _apply(store, m, applied.get(m.file, AppliedMigration(0, m.sha256)))]
    finally:
        store.close()


def read_migrations(folder: Path) -> list[Migration]:
    """The schema's files in order. Raises StartupError for a name that is not NNNN_words.sql."""
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        if not _FILE.match(path.name):
            raise StartupError(f"{path.name}: a migration is named like 0001_foundation.sql")
        text = path.read_text(encoding="utf-8")
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        migrations.append(Migration(path.name, sha256, tuple(split_statements(text))))
    return migrations


def split_statements(text: str) -> Iterator[str]:
    """The statements of a file: each ends with `;` at the end of a line that is not a comment."""
    lines: list[str] = []
    for line in text.splitlines():
        comment = line.lstrip().startswith("--")
        if comment and not lines:
            continue
        lines.append(line)
        if line.rstrip().endswith(";") and not comment:
            yield "\n".join(lines).strip().removesuffix(";")
            lines = []
    rest = "\n".join(line for line in lines if not line.lstrip().startswith("--")).strip()
    if rest:
        yield rest


def _refuse_newer(applied: Mapping[str, AppliedMigration], migrations: Sequence[Migration]) -> None:
    newest = max((migration.file for migration in migrations), default="")
    if newer := sorted(file for file in applied if file > newest):
        raise StartupError(
            f"the store was written by a newer Tidemill (schema {newer[-1].removesuffix('.sql')}, this version knows "
            f"{newest.removesuffix('.sql')}); upgrade Tidemill, or restore a backup that this version made"
        )


def _numbered(migration: Migration) -> Iterator[tuple[int, str]]:
    return enumerate(migration.statements, 1)


def _apply(store: Store, migration: Migration, applied: AppliedMigration) -> bool:
    if applied.sha256 != migration.sha256:
        raise StartupError(
            f"{migration.file} was changed after it was applied to this store; "
            "restore it, and put the change into a new file"
        )
    for number, sql in _numbered(migration):
        if number <= applied.last:
            continue
        try:
            store.command(f"{migration.file}:{number}")
        except StoreQueryError as error:
            # Only the first statement without a record may have run already: in a run killed before the record.
            has_run = error.store_code == _TABLE_ALREADY_EXISTS and number == applied.last + 1
            if not has_run and not (_OPTIONAL in sql and error.store_code in _NOT_KNOWN):
                raise
        record = {"file": [migration.file], "statement": [number], "sha256": [migration.sha256]}
        store.insert("schema_migrations", pl.DataFrame(record, schema_overrides={"statement": pl.UInt32}))
    return applied.last < len(migration.statements)
