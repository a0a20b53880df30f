"""Makes the streams of a log where they are missing, and refuses servers that do not keep the log's promises.

An acknowledgement means that a majority of nodes has synced. That holds only if every node syncs always, so a log is
not opened over a cluster in which a node does not.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final

import httpx
import msgspec

from tidemill.errors import StartupError
from tidemill.log.jetstream.link import ApiError, JetStreamLink
from tidemill.log.jetstream.names import StreamNames

_log = logging.getLogger(__name__)
MAX_MESSAGE_BYTES: Final = (1 << 20) + (64 << 10)
DUPLICATE_WINDOW_S: Final = 600  # ids are kept in memory; an uncertain batch is repeated for seconds
PARTITIONS: Final = "tidemill.partitions"  # in the metadata of a stream: how many the log has
_NOT_FOUND: Final = 10059
_FIXED: Final = ("num_replicas", "discard", "allow_atomic", "allow_msg_ttl", "allow_direct", "subjects")


class NodeState(msgspec.Struct, frozen=True):
    """What a node's monitor says; `free_bytes` is what its file store may still take."""

    name: str
    sync_always: bool
    cluster_size: int
    free_bytes: int


def read_nodes(monitors: Sequence[str]) -> dict[str, NodeState | str]:
    """The state of each node by the URL of its monitor, or why it is not known."""
    states: dict[str, NodeState | str] = {}
    with httpx.Client(timeout=2, trust_env=False) as client:
        for url in monitors:
            try:
                page = client.get(f"{url}/jsz").raise_for_status().json()
                name = str(client.get(f"{url}/varz").raise_for_status().json()["server_name"])
                config = page["config"]
                states[url] = NodeState(
                    name,
                    bool(config.get("sync_always")),
                    int(page.get("meta_cluster", {}).get("cluster_size", 1)),
                    max(0, int(config["max_storage"]) - int(page["storage"])),
                )
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                states[url] = f"{type(error).__name__}"
    return states


def check_nodes(monitors: Sequence[str]) -> int:
    """The number of nodes of the cluster, after each was seen to sync always. Raises StartupError, which says what to
    do, when a node does not, or cannot be asked."""
    states = read_nodes(monitors)
    known = [state for state in states.values() if isinstance(state, NodeState)]
    if lazy := [state.name for state in known if not state.sync_always]:
        raise StartupError(
            f"NATS node {', '.join(lazy)} does not sync each write to disk, so an acknowledged payload could be lost: "
            "set `sync_interval: always` in the block `jetstream` of its nats.conf and restart the node"
        )
    size = max((state.cluster_size for state in known), default=1)
    names = {state.name for state in known}
    if not known or len(names) < size:
        silent = ", ".join(url for url, state in states.items() if isinstance(state, str)) or "none"
        raise StartupError(
            f"Whether every NATS node syncs each write is not known: {len(names)} of {size} nodes answered (no answer: "
            f"{silent}). Start the nodes, give each `http: host:8222` in its nats.conf, and name every monitor: "
            "TIDEMILL_LOG=nats://…?monitor=http://nats-0:8222,http://nats-1:8222,http://nats-2:8222"
        )
    return size


def log_stream(names: StreamNames, replicas: int, partitions: int) -> dict[str, Any]:
    """The configuration of a partition's stream: it refuses when it is full, and deletes nothing by itself but keys."""
    return {
        "name": names.stream,
        "subjects": [f"{names.base}.>"],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "new",
        "max_msg_size": MAX_MESSAGE_BYTES,
        "duplicate_window": DUPLICATE_WINDOW_S * 10**9,
        "allow_atomic": True,
        "allow_msg_ttl": True,
        "allow_direct": True,
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "metadata": {PARTITIONS: str(partitions)},
    }


def marks_stream(names: StreamNames, replicas: int) -> dict[str, Any]:
    """The configuration of the stream of marks: the newest message of each subject."""
    return {
        "name": names.marks,
        "subjects": [f"{names.name}.mark.>"],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "old",
        "max_msgs_per_subject": 1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_consumers": -1,
        "max_msg_size": -1,
    }


async def ensure_stream(link: JetStreamLink, wanted: dict[str, Any]) -> None:
    """Make the stream unless it is there. Raises StartupError when a stream of the name is set up in another way."""
    name = wanted["name"]
    try:
        info = await link.api(f"STREAM.INFO.{name}")
    except ApiError as error:
        if error.code != _NOT_FOUND:
            raise
        info = await link.api(f"STREAM.CREATE.{name}", wanted)
    config = info["config"]
    count, known = (each.get("metadata", {}).get(PARTITIONS) for each in (wanted, config))
    if count != known:
        raise StartupError(
            f"The log in TIDEMILL_LOG has {known} partitions (stream {name}), which stay as they are: start with "
            f"TIDEMILL_PARTITIONS={known}, or give the log another name (nats://…/NAME)"
        )
    differing = [key for key in _FIXED if key in wanted and config.get(key, False) != wanted[key]]
    if differing:
        shown = "; ".join(f"{key} is {config.get(key)}, not {wanted[key]}" for key in differing)
        raise StartupError(
            f"The stream {name} is set up in another way than this log needs ({shown}): give the log another name "
            "(nats://…/NAME), or move what the stream holds and delete the stream"
        )
