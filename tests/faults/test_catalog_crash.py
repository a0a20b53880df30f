"""SIGKILL of a process that writes the catalog: what it was told is written is there, and others saw it."""

import subprocess
import sys
import threading
from pathlib import Path

from tidemill.catalog.sqlite import SqliteCatalog

WRITE_FOR_EVER = (
    "import sys; from pathlib import Path; from tidemill.catalog.sqlite import SqliteCatalog\n"
    "catalog = SqliteCatalog(Path(sys.argv[1])); n = 0\n"
    "while True:\n"
    "    n += 1; print(n, catalog.put(f'k/{n % 7}', b'%d' % n), flush=True)"
)


def test_writes_of_a_killed_process_are_there_and_were_watched(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    catalog = SqliteCatalog(path)
    changed = threading.Event()
    catalog.watch("k/", changed.set)
    last_revision = 0
    for _ in range(3):
        changed.clear()
        child = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(50)]
        child.kill()
        lines += child.communicate()[0].splitlines(keepends=True)
        told = [tuple(map(int, line.split())) for line in lines if line.endswith(b"\n")]
        revisions = [revision for _, revision in told]
        assert revisions == sorted(set(revisions)) and revisions[0] > last_revision
        last_revision = revisions[-1]
        written = {f"k/{n % 7}": n for n, _ in told}
        assert all(int(entry.value) in (written[entry.key], told[-1][0] + 1) for entry in catalog.list("k/"))
        assert changed.wait(1.0)
        assert catalog.put("k/parent", b"0") > last_revision
        assert catalog.delete("k/parent")
        last_revision += 2
    catalog.close()
