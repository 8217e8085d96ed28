"""Google Drive as a folder. Here the folder is that of COLAB_STAND_IN_DRIVE, moved into place.

Moved and not linked, so that a path below the mount point is what it says, as on Colab.
"""

import os

from google.colab import _message

__all__ = ["flush_and_unmount", "mount"]


def mount(mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
    """Put the Drive at *mountpoint*, in its folder ``MyDrive``, after the person has agreed."""
    if " " in mountpoint:
        raise ValueError("Mountpoint must not contain a space.")
    if os.environ.get("VERTEX_PRODUCT") == "COLAB_ENTERPRISE":
        raise NotImplementedError("google.colab.drive.mount is not supported in Colab Enterprise.")
    _message.blocking_request(
        "request_auth", request={"authType": "dfs_ephemeral"}, timeout_sec=int(timeout_ms / 1000)
    )
    mountpoint = os.path.expanduser(mountpoint)
    if os.path.isdir(os.path.join(mountpoint, "MyDrive")) and not force_remount:
        print(
            f"Drive already mounted at {mountpoint}; to attempt to forcibly remount, "
            f'call drive.mount("{mountpoint}", force_remount=True).'
        )
        return
    flush_and_unmount(told=False)
    _check(mountpoint)
    os.makedirs(mountpoint, exist_ok=True)
    os.rename(_stored(), os.path.join(mountpoint, "MyDrive"))
    os.symlink(os.path.realpath(mountpoint), _note())
    print(f"Mounted at {mountpoint}")


def flush_and_unmount(timeout_ms=24 * 60 * 60 * 1000, *, told=True):
    """Take the Drive away from where it is."""
    if not os.path.islink(_note()):
        if told:
            print("Drive not mounted, so nothing to flush and unmount.")
        return
    mountpoint = os.readlink(_note())
    os.rename(os.path.join(mountpoint, "MyDrive"), _stored())
    os.rmdir(mountpoint)
    os.remove(_note())


def _check(mountpoint):
    if os.path.islink(mountpoint):
        raise ValueError("Mountpoint must not be a symlink")
    if os.path.isdir(mountpoint) and os.listdir(mountpoint):
        raise ValueError("Mountpoint must not already contain files")
    if not os.path.isdir(mountpoint) and os.path.exists(mountpoint):
        raise ValueError("Mountpoint must either be a directory or not exist")
    if not os.path.exists(os.path.dirname(os.path.abspath(mountpoint))):
        raise ValueError("Mountpoint must be in a directory that exists")


def _stored():
    return os.environ["COLAB_STAND_IN_DRIVE"]


def _note():
    """Return the link that says where it is: no file that a cell wrote, as there is none on Colab."""
    return _stored() + ".mounted"
