"""Which file system a folder is on, and how much of it is free."""

from pathlib import Path

import pytest

from tidemill.errors import StartupError
from tidemill.log.limits import LogLimits
from tidemill.log.local_disk import FreeSpace, file_system_of, refuse_network_file_system

MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/export /srv/data nfs4 rw 0 0
tmpfs /srv/data/local tmpfs rw 0 0
//nas/share /mnt/with\\040blank cifs rw 0 0
user@host: /home/me/far fuse.sshfs rw 0 0
garbage
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/var/lib/tidemill", "ext4"),
        ("/srv/data", "nfs4"),
        ("/srv/data/tidemill", "nfs4"),
        ("/srv/database", "ext4"),
        ("/srv/data/local/x", "tmpfs"),
        ("/mnt/with blank/x", "cifs"),
        ("/home/me/far/x", "fuse.sshfs"),
    ],
)
def test_deepest_mount_point_decides(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind


def test_network_file_system_is_refused_with_its_name(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} nfs rw 0 0\n")
    with pytest.raises(StartupError, match=r"network file system \(nfs\)"):
        refuse_network_file_system(tmp_path / "data", mounts)
    refuse_network_file_system(tmp_path / "data", tmp_path / "absent")
    refuse_network_file_system(tmp_path)


def test_larger_of_the_two_limits_counts(tmp_path: Path) -> None:
    space = FreeSpace(tmp_path, LogLimits(min_free_bytes=0, min_free_ratio=0.0))
    assert not space.short() and space.free_bytes > 0
    assert FreeSpace(tmp_path, LogLimits(min_free_bytes=1 << 60, min_free_ratio=0.0)).short()
    assert FreeSpace(tmp_path, LogLimits(min_free_bytes=0, min_free_ratio=0.999999)).short()
