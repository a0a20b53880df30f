"""The offset above which a restored log continues: `log.continue-above` beside the log, written by a restore.

After the moment of a backup the original log handed out an unknown number of offsets, which cursors, versions and
receipts name. A restored log must not hand them out again, so it continues far above. The file stays, and has no effect
once the log is above its offset.
"""

import zlib
from pathlib import Path
from typing import Final

from tidemill.durable import replace_file
from tidemill.errors import LogCorruptError
from tidemill.log.sqlite import high_water
from tidemill.log.sqlite.high_water import HighWaterMark

CONTINUE_ABOVE_FILE: Final = "log.continue-above"
# More offsets than the fastest log hands out in two days without a pause, or a log of 1,000 payloads/s in 49 days.
# Offsets go up to 2**40 (`loss.py`): enough for 255 restores, each from a backup of the restored log before.
GAP: Final = 1 << 32


def continue_above(directory: Path) -> int:
    """The offset above which the log in `directory` continues; 0 without the file. Raises LogCorruptError."""
    try:
        content = (directory / CONTINUE_ABOVE_FILE).read_bytes()
    except FileNotFoundError:
        return 0
    digits = content.split(b" ", 1)[0]
    if not digits.isdigit() or content != encode_continue_above(int(digits)):
        raise LogCorruptError(
            f"{directory / CONTINUE_ABOVE_FILE} is damaged; restore the folder again, or, if payloads were taken since "
            f"it was restored, delete this file and start again"
        )
    return int(digits)


def finish_restored_partition(directory: Path, last_seq: int) -> None:
    """Write the files beside a restored partition's log: the high-water mark, and the offset above which it continues.

    Raises OSError.
    """
    above = max(last_seq, continue_above(directory)) + GAP
    replace_file(directory / CONTINUE_ABOVE_FILE, encode_continue_above(above))
    mark = HighWaterMark(directory / high_water.HIGH_WATER_FILE)
    mark.note(last_seq)
    mark.close()


def encode_continue_above(seq: int) -> bytes:
    """The content of the file for an offset."""
    digits = b"%d" % seq
    return b"%s %08x\n" % (digits, zlib.crc32(digits))
