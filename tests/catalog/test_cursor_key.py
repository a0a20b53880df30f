"""The key of cursors is made once, whoever asks first."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tidemill.catalog.cursor_key import cursor_key
from tidemill.catalog.sqlite import SqliteCatalog


def test_everybody_gets_the_same_key_now_and_later(tmp_path: Path) -> None:
    def ask(_: int) -> bytes:
        catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
        try:
            return cursor_key(catalog)
        finally:
            catalog.close()

    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(ask, range(16)))
    assert keys == {ask(0)}
    assert len(keys.pop()) == 32
