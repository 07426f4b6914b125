"""Whether locks on a file hold between the machines that share its folder, told from how that is mounted."""

import os
import re
from pathlib import Path
from typing import NamedTuple

MOUNTS = Path("/proc/self/mountinfo")
# Buckets that look like folders: a file there is written whole when it is closed, and locks are this machine's.
BUCKETS = {
    "fuse.s3fs", "fuse.goofys", "fuse.geesefs", "fuse.mountpoint-s3", "mountpoint-s3", "fuse.gcsfuse", "gcsfuse", "fuse.rclone",
    "fuse.blobfuse", "fuse.blobfuse2", "fuse.ossfs", "fuse.cosfs", "fuse.obsfs", "fuse.goofys-fuse",
}  # fmt: skip
LOCAL_LOCKS = {"fuse.sshfs": "sshfs", "fuse.davfs": "davfs"}


class Mount(NamedTuple):
    place: str
    kind: str
    options: frozenset[str]


def lock_trouble(folder: Path, mounts: Path = MOUNTS) -> str:
    """Why locks in a folder do not hold between machines; nothing where they do, or nothing is known against it."""
    mount = mount_of(folder, mounts)
    if mount is None:
        return ""
    where, options = f"{folder} lies on {mount.place}", mount.options
    if mount.kind in BUCKETS:
        return f"{where}, a bucket mounted by {mount.kind.removeprefix('fuse.')}, where locks are each machine's own"
    if mount.kind in LOCAL_LOCKS:
        return f"{where}, mounted by {LOCAL_LOCKS[mount.kind]}, where locks are each machine's own"
    if mount.kind == "lustre" and "localflock" in options:
        return f"{where}, Lustre mounted with localflock: locks are each machine's own"
    if mount.kind == "lustre" and "flock" not in options:
        return f"{where}, Lustre mounted without flock: there are no locks"
    if mount.kind in ("nfs", "nfs4") and options & {"nolock", "local_lock=all", "local_lock=posix"}:
        [option] = sorted(options & {"nolock", "local_lock=all", "local_lock=posix"})[:1]
        return f"{where}, NFS mounted with {option}: locks are each machine's own"
    if mount.kind in ("cifs", "smb3") and "nobrl" in options:
        return f"{where}, a Windows share mounted with nobrl: locks are each machine's own"
    return ""


def mount_of(folder: Path, mounts: Path = MOUNTS) -> Mount | None:
    """What a folder, which need not exist yet, lies on; see proc(5) for the lines of mountinfo."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None
    wanted, found = os.path.realpath(folder), None
    for line in lines:
        before, _, after = line.partition(" - ")
        place = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), before.split()[4])
        if wanted == place or wanted.startswith(place.rstrip("/") + "/"):
            kind, _, more = after.split(" ", 2)
            if found is None or len(place) >= len(found.place):  # a later one of the same place covers the earlier
                found = Mount(place, kind, frozenset(before.split()[5].split(",") + more.split(",")))
    return found
