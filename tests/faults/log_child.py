"""A process that owns a log and appends until it is killed: `python -m tests.faults.log_child DIR [TASKS]`.

Each acknowledged payload is a line `seq receipt` on standard output, written after its commit and before the next.
Bodies are the receipt repeated, so that whoever reads the log can check them.
"""

import asyncio
import hashlib
import os
import sys
import time
from pathlib import Path

from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog
from tidemill.model.ids import new_receipt
from tidemill.model.payload import Payload


def numbered(repeat: int) -> Payload:
    now_ns = time.time_ns()
    receipt = new_receipt(now_ns)
    body = receipt.encode() * (1 + repeat % 100)
    return Payload(receipt, "default", "location", 1, now_ns, "json", body, hashlib.sha256(body).digest())


async def appending(log: SqliteLog) -> None:
    n = 0
    while True:
        n += 1
        payload = numbered(n)
        answer = await log.append_async(payload, payload.receipt if n % 3 == 0 else None)
        os.write(1, f"{answer.seq} {answer.receipt}\n".encode())


async def main() -> None:
    log = SqliteLog(Path(sys.argv[1]), limits=LogLimits(min_free_bytes=0, min_free_ratio=0))
    await asyncio.gather(*[appending(log) for _ in range(int(sys.argv[2]))])


if __name__ == "__main__":
    asyncio.run(main())
