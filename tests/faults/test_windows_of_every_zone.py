"""Windows of every zone there is, over ten years, compared with those of the standard library."""

from importlib import resources

from tests.query.conftest import Writer
from tests.support.rounds import rounds
from tests.support.walls import STEPS, compare
from tidemill.model.zones import zone
from tidemill.store.client import Store


def names() -> list[str]:
    """Every zone of the time zone data, those of one history once."""
    text = resources.files("tzdata").joinpath("zones").read_text()
    known: dict[bytes, str] = {}
    for name in text.split():
        if zone(name) is not None:
            known.setdefault(resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes(), name)
    return sorted(known.values())


def test_windows_begin_where_the_standard_library_says(store: Store, writer: Writer) -> None:
    every = names()
    assert len(every) > 300
    some = every[:: rounds(40, 1)]
    assert all(compare(store, writer, name, range(2018, rounds(2019, 2028)), STEPS) for name in some)
