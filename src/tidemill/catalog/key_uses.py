"""When API keys were used last, in any Catalog: written a minute after the use, so that no request waits for it."""

from typing import Final

from tidemill.catalog.contract import Catalog
from tidemill.catalog.keys import KEY_USES_PREFIX, KeyRing


def keep_key_uses(catalog: Catalog, keys: KeyRing) -> None:
    """Write the latest uses of the keys that this process has seen. Of several processes the latest use stays. Raises
    what the catalog raises."""
    written = read_key_uses(catalog)
    for key_id, used_ns in keys.uses().items():
        if keys.principal(key_id) is not None and used_ns > written.get(key_id, 0):
            catalog.put(KEY_USES_PREFIX + key_id, b"%d" % used_ns)


def read_key_uses(catalog: Catalog) -> dict[str, int]:
    """When each key was used last, by its id, in ns since the epoch; only keys that were ever used."""
    return {entry.key[_START:]: int(entry.value) for entry in catalog.list(KEY_USES_PREFIX)}


_START: Final = len(KEY_USES_PREFIX)
