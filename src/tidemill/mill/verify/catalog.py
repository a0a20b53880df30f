"""The catalog: its file is whole, and every feed's text is the one that was applied."""

import hashlib

from tidemill.catalog.contract import Catalog
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.errors import TidemillError
from tidemill.mill.verify import kinds
from tidemill.mill.verify.report import Findings


def check_catalog(catalog: Catalog, findings: Findings) -> None:
    """Note what is damaged in a catalog, of all tenants."""
    try:
        for fault in catalog.check():
            findings.add(kinds.CatalogDamaged, tenant="", what="structure of the catalog", expected="ok", found=fault)
        _texts(CatalogFeeds(catalog), findings)
    except (TidemillError, ValueError) as error:  # a damaged entry may not even be JSON
        findings.add(kinds.CatalogDamaged, tenant="", what="an entry", expected="what was written", found=str(error))


def _texts(feeds: CatalogFeeds, findings: Findings) -> None:
    for tenant in feeds.tenants():
        for current in feeds.list(tenant):
            for text in feeds.versions(tenant, current.name):
                digest = hashlib.sha256(text.text.encode()).hexdigest()
                if digest != text.sha256:
                    findings.add(
                        kinds.CatalogDamaged, tenant=tenant, feed=text.name, what=f"text of version {text.version}",
                        expected=text.sha256, found=digest,
                    )  # fmt: skip
