"""How many partitions the log of a data folder has, and where each is.

The number is chosen when the folder is made and kept in it: with another one, a feed's payloads would go on in another
partition, and nothing would hold their order any more.
"""

from pathlib import Path
from typing import Final

from tidemill.durable import replace_file
from tidemill.errors import StartupError
from tidemill.model.offset import MAX_PARTITIONS

FILE: Final = "partitions"  # in the data folder; one that has none has one partition
FOLDER: Final = "log"


def log_folder(data: Path, partition: int) -> Path:
    """The folder of a partition in a data folder."""
    return data / (f"{FOLDER}-{partition}" if partition else FOLDER)


def partition_count(data: Path) -> int:
    """How many partitions the log of a data folder has. Raises StartupError when the file that says it is damaged."""
    path = data / FILE
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
    """Make `count` the number of partitions of a folder that is new; durable on return.

    Raises StartupError when the folder has another number.
    """
    known = partition_count(data)
    if known == count:
        return
    if (data / FILE).exists() or log_folder(data, 0).exists():
        raise StartupError(
            f"The log in '{data}' has {known} partition{'s'[: known != 1]}, which stays as it is: start with "
            f"TIDEMILL_PARTITIONS={known}, or with another data folder"
        )
    replace_file(data / FILE, b"%d\n" % count)
