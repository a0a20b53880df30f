"""Decodes one of the worst bodies under a limit of memory and prints what that took, as a line of JSON."""

import json
import resource
import sys
import time
from pathlib import Path

from tests.support.payloads import logged
from tests.support.worst_bodies import WORST


def main(name: str, size_bytes: int, limit_bytes: int) -> None:
    """Print `seconds` of the processor, `grown_bytes` of memory at its highest, `records`, `rejected`, `bytes` of the
    body, and `ledger_bytes`: what texts and details of the rejections come to."""
    import polars as pl

    from tidemill.decode.decoder import Decoder
    from tidemill.feeds.load import load

    worst = WORST[name](size_bytes)
    decoder = Decoder(load(worst.feed))
    decoder.decode([logged(1, b"{}", worst.name, worst.format)])  # what is loaded once
    before = _peak_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (_mapped_bytes() + limit_bytes,) * 2)
    start = time.process_time()
    batch = decoder.decode([logged(1, worst.body, worst.name, worst.format)])
    decoded = time.process_time() - start
    decoded_bytes = _peak_bytes() - before
    records = decoder.texts(worst.body, worst.format)
    texts = [records.text(index) for index in batch.rejections["idx"]]
    detail = batch.rejections["detail"].str.len_bytes().sum()
    print(
        json.dumps(
            {
                "seconds": decoded,
                "text_seconds": time.process_time() - start - decoded,
                "grown_bytes": decoded_bytes,
                "grown_with_texts": _peak_bytes() - before,
                "records": int(batch.counts["records"].sum()),
                "rejected": batch.rejections.height,
                "bytes": len(worst.body),
                "ledger_bytes": int(pl.Series(texts, dtype=pl.String).str.len_bytes().sum()),
                "detail_bytes": int(detail),
            }
        )
    )


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _mapped_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
