"""The number of partitions of a data folder's log, and the folder of each.

The number is chosen when the data folder is made, and kept in it. With another number a feed's later payloads would go
to another partition, and the feed's payloads would no longer be in one order.
"""

from pathlib import Path
from typing import Final

from tidemill.durable import replace_file
from tidemill.errors import StartupError
from tidemill.model.offset import MAX_PARTITIONS

PARTITIONS_FILE: Final = "partitions"  # in the data folder; without this file the log has one partition
LOG_FOLDER: Final = "log"


def log_folder(data: Path, partition: int) -> Path:
    """The folder of a partition in a data folder."""
    return data / (f"{LOG_FOLDER}-{partition}" if partition else LOG_FOLDER)


def partition_count(data: Path) -> int:
    """The number of partitions of a data folder's log. Raises StartupError when the file that holds it is damaged."""
    path = data / PARTITIONS_FILE
    try:
        text = path.read_text("ascii", "replace").strip()
    except FileNotFoundError:
        return 1
    if not text.isdigit() or not 1 <= int(text) <= MAX_PARTITIONS:
        raise StartupError(
            f"{path} is damaged: it must hold the number of partitions of the log. There is a folder `log` for the "
            "first and one `log-1`, `log-2`, ... for each other: count them and write the number into the file"
        )
    return int(text)


def settle_partitions(data: Path, count: int) -> None:
    """Set the number of partitions of a new data folder; durable on return.

    Raises StartupError when the folder has another number.
    """
    known = partition_count(data)
    if known == count:
        return
    if (data / PARTITIONS_FILE).exists() or log_folder(data, 0).exists():
        raise StartupError(
            f"The log in '{data}' has {known} partition{'s'[: known != 1]}, which stays as it is: start with "
            f"TIDEMILL_PARTITIONS={known}, or with another data folder"
        )
    replace_file(data / PARTITIONS_FILE, b"%d\n" % count)
