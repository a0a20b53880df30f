"""The words of a point's flags: what was decided about its time."""

from typing import Final

FLAGS: Final = ("fold_earlier", "fold_later", "gap_shifted", "shifted")  # of the bits, the lowest first


def flag_words(bits: int) -> list[str]:
    """The words of the bits that are set."""
    return [word for place, word in enumerate(FLAGS) if bits >> place & 1]
