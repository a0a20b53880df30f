"""What an insert makes of a table, by the keys, versions and defaults that the packaged schema declares."""

from functools import cache

import polars as pl

from tidemill.store.tables import StoreTable, packaged_tables


def folded(table: StoreTable, held: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """What a table holds after an insert: of rows with one key the one with the highest version, of equal ones the
    last. Columns that the rows do not have, and nulls in columns that take none, are the table's defaults."""
    unknown = set(rows.columns) - set(table.columns)
    assert not unknown, f"the schema has no columns {unknown}"
    missing = {name: default for name, default in table.defaults.items() if name not in rows.columns}
    whole = table.rows(rows, **missing)
    whole = whole.with_columns(
        pl.col(name).fill_null(pl.lit(table.defaults[name], table.columns[name]))
        for name in table.defaults
        if whole[name].null_count()
    )
    both = pl.concat([held, whole])
    ordered = both.sort(table.version, maintain_order=True) if table.version else both
    return ordered.unique(table.key, keep="last", maintain_order=True)


@cache
def nothing() -> dict[str, pl.DataFrame]:
    """Every table without rows."""
    return {name: pl.DataFrame(schema=table.columns) for name, table in packaged_tables().items()}
