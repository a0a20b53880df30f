"""The named queries of this area: one spelling of an instant, and a tenant bound in each."""

import re

from tidemill.store.queries import FOLDER, load_queries

INSTANT = "t -> concat(replaceOne(trimRight(trimRight(toString(t), '0'), '.'), ' ', 'T'), 'Z') AS instant"
QUERIES = {
    name: query
    for path in FOLDER.glob("query_*.sql")
    for name, query in load_queries(FOLDER).items()
    if f"-- name: {name}\n" in path.read_text()
}


def test_every_query_binds_the_tenant() -> None:
    assert len(QUERIES) > 15
    free = {name for name, query in QUERIES.items() if "tenant" not in query.params}
    assert free == {"window_start", "storage_tables"}  # ask nothing of any table that has tenants


def test_every_table_is_read_with_its_own_tenant_bound() -> None:
    tables = (
        "points|series|payloads|rejections|replaced|rollups|changes|deletions|deleted_records|polls|replay_differences"
    )
    for name, query in QUERIES.items():
        reads = len(re.findall(rf"\b(?:FROM|(?<!ARRAY )JOIN) (?:{tables})\b", query.sql))
        binds = len(re.findall(r"\btenant = \{tenant:String\}", query.sql))
        assert binds == reads, name


def test_an_instant_is_spelled_the_same_everywhere() -> None:
    for name, query in QUERIES.items():
        if re.search(r"\bAS instant\b", query.sql):
            assert INSTANT in query.sql, name
