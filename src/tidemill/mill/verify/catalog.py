"""Checks the catalog: its file is whole, and every feed's text is the one that was applied."""

from tidemill.catalog.contract import Catalog
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.errors import TidemillError
from tidemill.mill.verify import kinds
from tidemill.mill.verify.report import Findings


def check_catalog(catalog: Catalog, findings: Findings) -> dict[str, frozenset[str]]:
    """Note what is damaged in a catalog, of all tenants; returns by tenant the feeds with a damaged version: their
    payloads cannot be checked."""
    feeds: dict[str, frozenset[str]] = {}
    try:
        for fault in catalog.structure_faults():
            findings.add(
                kinds.CatalogDamaged, tenant="", what="structure of the catalog", expected="ok", observed=fault
            )
        texts = CatalogFeeds(catalog)
        for tenant in texts.tenants():
            for feed, error in texts.damaged(tenant):
                feeds[tenant] = feeds.get(tenant, frozenset()) | {feed}
                findings.add(
                    kinds.CatalogDamaged, tenant=tenant, feed=feed, what="text of a version",
                    expected="what was applied", observed=error.message,
                )  # fmt: skip
    except (TidemillError, ValueError) as error:  # a damaged entry may not even be JSON
        findings.add(kinds.CatalogDamaged, tenant="", what="an entry", expected="what was written", observed=str(error))
    return feeds
