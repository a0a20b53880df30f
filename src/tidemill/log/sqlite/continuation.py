"""The place above which a restored log goes on: `log.continue-above` beside the log, written by a restore.

After the moment of a backup the original handed out places that nobody can count, and cursors, versions and receipts
that went out by then name them. A restored log that handed them out again would give them a second meaning, so it goes
on far above instead. The file stays: once the log is above that place it says nothing more.
"""

import zlib
from pathlib import Path
from typing import Final

from tidemill.durable import replace_file
from tidemill.errors import LogCorruptError
from tidemill.log.sqlite import high_water
from tidemill.log.sqlite.high_water import HighWaterMark

FILE: Final = "log.continue-above"
# More than the fastest log hands out in two days without a pause, or a log of 1,000 payloads/s in 49 days. Places go
# up to 2**40 (`loss.py`): room for 255 restores, each of a backup of the one before.
GAP: Final = 1 << 32


def continue_above(directory: Path) -> int:
    """The place in the file of the log in `directory`; 0 if there is none. Raises LogCorruptError."""
    try:
        content = (directory / FILE).read_bytes()
    except FileNotFoundError:
        return 0
    digits = content.split(b" ", 1)[0]
    if not digits.isdigit() or content != encoded(int(digits)):
        raise LogCorruptError(
            f"{directory / FILE} is damaged; restore the folder again, or, if payloads were taken since it was "
            f"restored, delete this file and start again"
        )
    return int(digits)


def finish_restored(directory: Path, last_seq: int) -> None:
    """Write what a restored log has beside its file: the high-water mark, and the offset above which it goes on.

    Raises OSError.
    """
    above = max(last_seq, continue_above(directory)) + GAP
    replace_file(directory / FILE, encoded(above))
    mark = HighWaterMark(directory / high_water.FILE)
    mark.note(last_seq)
    mark.close()


def encoded(seq: int) -> bytes:
    """The content of the file for a place."""
    digits = b"%d" % seq
    return b"%s %08x\n" % (digits, zlib.crc32(digits))
