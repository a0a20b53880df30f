"""Decodes worst bodies under a limit of memory and prints what each took, as a line of JSON.

python -m tests.faults.decode_child LIMIT_BYTES NAME:SIZE_BYTES ...
"""

import json
import resource
import sys
import time
from pathlib import Path

import polars as pl

from tests.support.payloads import logged
from tests.support.worst_bodies import WORST
from tidemill.decode.decoder import Decoder
from tidemill.feeds.load import load_feed


def main(limit_bytes: int, shapes: list[str]) -> None:
    """Print `name`, `size` (that was wished for), `bytes` of the body, `seconds` of the processor, `grown_bytes` of
    memory at its highest, `records`, `rejected`, and `ledger_bytes`: what the texts and details of the rejections come
    to. Ends by MemoryError, or an abort, where `limit_bytes` beyond what is loaded do not do."""
    Decoder(load_feed(WORST["nan_values"](1).feed)).decode_batch([logged(1, b"[{}]")])  # what is loaded once
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + limit_bytes,) * 2)
    for shape in shapes:
        name, _, size = shape.partition(":")
        print(json.dumps(measured(name, int(size))), flush=True)


def measured(name: str, size_bytes: int) -> dict[str, object]:
    """One line."""
    worst = WORST[name](size_bytes)
    decoder, entry = Decoder(load_feed(worst.feed)), logged(1, worst.body, worst.name, worst.format)
    Path("/proc/self/clear_refs").write_text("5")  # the highest is counted from here
    before, start = _status("VmHWM"), time.process_time()
    batch = decoder.decode_batch([entry])
    records = decoder.record_texts(worst.body, worst.format)
    texts = pl.Series([records.text(index) for index in batch.rejections["idx"]], dtype=pl.String)
    seconds = time.process_time() - start
    return {
        "name": name,
        "size": size_bytes,
        "bytes": len(worst.body),
        "seconds": seconds,
        "grown_bytes": _status("VmHWM") - before,
        "records": int(batch.counts["records"].sum()),
        "rejected": batch.rejections.height,
        "ledger_bytes": texts.str.len_bytes().sum() + batch.rejections["detail"].str.len_bytes().sum(),
    }


def _status(name: str) -> int:
    """A figure of this process, in bytes."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:"))) << 10


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
