"""A mill in a process of its own, for tests that kill it or put it to sleep: applies all that the log holds, works on
replays, prints the checkpoint, ends.

`python -m tests.mill.process FOLDER ADDRESS_JSON PARTITION [BOUND=NUMBER ...]`, the bounds as in MillParts. A payload
with `KILL` in it ends the process while it is decoded, as a fault in native code would.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.replays import CatalogReplays
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.decode.batch import Batch
from tidemill.decode.decoder import Decoder
from tidemill.feeds.book import FeedBook
from tidemill.hints import Hints
from tidemill.log.sqlite import SqliteLogReader
from tidemill.mill.parts import MillParts
from tidemill.mill.state_files import FileMillState
from tidemill.mill.worker import Mill
from tidemill.model.offset import Partition
from tidemill.model.payload import LogEntry
from tidemill.store.client import Store, StoreAddress

_decode = Decoder.decode_batch


def _fragile(self: Decoder, payloads: Sequence[LogEntry]) -> Batch:
    if any(b"KILL" in entry.payload.body for entry in payloads):
        os.kill(os.getpid(), signal.SIGKILL)
    return _decode(self, payloads)


def main(folder: Path, address: StoreAddress, partition: Partition, **bounds: int) -> None:
    Decoder.decode_batch = _fragile  # type: ignore[method-assign]
    catalog = SqliteCatalog(folder / "catalog.sqlite")
    book = FeedBook(CatalogFeeds(catalog), {})
    reader = SqliteLogReader(folder / "log")
    state = FileMillState(folder / "mill", partition.start, catalog)
    work, replays = folder / "mill" / "replays", CatalogReplays(catalog)
    hints = Hints.pair()[0]
    mill = Mill(
        MillParts(reader, Store(address), book, state, hints, work=work, replays=replays, partition=partition, **bounds)
    )
    while mill.apply_batch() or (mill.replays and mill.replays.step(mill.progress)):
        pass
    print(mill.progress.checkpoint)


if __name__ == "__main__":
    bounds = {name: int(number) for name, number in (bound.split("=") for bound in sys.argv[4:])}
    main(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=StoreAddress), Partition(int(sys.argv[3])), **bounds)
