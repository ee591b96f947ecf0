"""File systems on which the processes of a store could not be kept apart, and how that is found."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from statestore.errors import StorageError, UnsafeFilesystem
from statestore.files.folders import Folder

_OTHER_MACHINES = (
    "other machines can use it, too, and neither the locks nor the memory by which processes here "
    "keep apart reach those for sure"
)
_HOST = (
    "it is shared with the host of this machine, and neither the locks nor the memory by which "
    "processes here keep apart reach that for sure"
)
_NO_LOCKS = "it refuses locks"
_NOT_EXCLUSIVE = "it gives one lock to two at a time"

# Linux passes flock() on by NFS since 2.6.12, unless mounted with local_lock, and by SMB since 5.5,
# where a locked file cannot even be read by others (flock(2)). lustre has it where mounted with
# flock, beegfs where tuneUseGlobalFileLocks is set, virtiofsd where it is told to. But all of them
# may keep what was written in the memory of each machine, and the lock file's first bytes are for
# processes that share one memory. So working locks would not be enough.
_UNSAFE = {
    **dict.fromkeys(
        (
            *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "davfs"),
            *("ceph", "lustre", "gpfs", "beegfs", "glusterfs", "gfs2", "ocfs2", "orangefs"),
            *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.rclone"),
            *("fuse.s3fs", "fuse.gcsfuse", "fuse.davfs", "fuse.juicefs", "fuse.gvfsd-fuse"),
            *("fuse.goofys", "fuse.blobfuse", "fuse.blobfuse2", "fuse.moosefs", "fuse.curlftpfs"),
        ),
        _OTHER_MACHINES,
    ),
    **dict.fromkeys(
        ("9p", "virtiofs", "vboxsf", "vmhgfs", "fuse.vmhgfs-fuse", "prl_fs", "drvfs"), _HOST
    ),
}

# What flock() says where it cannot lock. Source: flock(2), and nfs(5) for a server without locks.
REFUSALS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def want_local(folder: Folder) -> None:
    """Check that a folder is on no file system that other machines use, as far as that is known.

    Raises:
        UnsafeFilesystem: it is.
    """
    name = folder.file_system()
    if name in _UNSAFE:
        raise UnsafeFilesystem(folder.path, name, _UNSAFE[name])


@contextlib.contextmanager
def wanted_lock(folder: Folder) -> Iterator[None]:
    """Raise `UnsafeFilesystem` where the block finds that the file system has no locks."""
    try:
        yield
    except StorageError as error:
        if error.errno not in REFUSALS:
            raise
        raise UnsafeFilesystem(folder.path, folder.file_system(), _NO_LOCKS) from error


def want_exclusive(folder: Folder, name: str) -> None:
    """Check that a file which the caller has locked cannot be locked by another opening of it.

    Raises:
        UnsafeFilesystem: it can.
    """
    second = folder.open_file(name, write=True)
    if second is None:
        return
    try:
        if second.lock(wait=False):
            raise UnsafeFilesystem(folder.path, folder.file_system(), _NOT_EXCLUSIVE)
    finally:
        second.close()
