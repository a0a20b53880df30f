"""A process that subscribes to a broker until it is ended: `python -m tests.faults.mqtt_child DIR URL`.

Its log and its catalog are in DIR. What the log has is written to standard output. Crash points end it at once.
"""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog
from tidemill.model.ids import new_receipt
from tidemill.model.payload import Payload
from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.pacing import Backoff, Pacing
from tidemill.sources.poller import Poller

FAST = Pacing(first_backoff_s=0.02, submit_backoff=Backoff(0.01, 0.1), fetch_grace_s=0.5, submit_grace_s=0.5)


def plant(url: str) -> Feed:
    return load_feed(
        f"""name = "plant"
[input]
on_fault = "reject"
[time]
path = "$.message.t"
format = "unix_s"
[tags.device]
path = "$.topic.device"
[fields.level]
path = "$.message.level"
[source]
kind = "mqtt"
url = "{url}"
allow = ["127.0.0.0/8"]
[source.mqtt]
topics = ["plant/{{device}}"]
"""
    )


def open_log(folder: Path) -> SqliteLog:
    return SqliteLog(folder, limits=LogLimits(min_free_bytes=0, min_free_ratio=0))


def main() -> None:
    folder, url = Path(sys.argv[1]), sys.argv[2]
    log, feed = open_log(folder / "log"), plant(url)

    async def submit(
        tenant: str, name: str, body: bytes, form: str, key: str, *, request_values: Mapping[str, str]
    ) -> str:
        now = time.time_ns()
        payload = Payload(new_receipt(now), tenant, name, 1, now, "ndjson", body, hashlib.sha256(body).digest())
        receipt = (await log.append_async(payload, key)).receipt
        os.write(1, body)
        return receipt

    catalog = SqliteCatalog(folder / "catalog.sqlite")
    policy = AddressPolicy.parse("127.0.0.0/8")
    poller = Poller(lambda: [("default", feed)], catalog, submit, pacing=FAST, policy=policy)
    poller.start()
    signal.sigwait({signal.SIGTERM})
    poller.stop()
    log.close()
    catalog.close()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main()
