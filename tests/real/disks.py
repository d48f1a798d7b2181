"""Disks that can lose their power."""

import pathlib

from suite import run, until


class Disk:
    """An ext4 file system on a loop device, whose image is a file in memory: what reached the device, and nothing else."""

    name = "disk"

    def __init__(self, image, mount_point, size):
        self.image, self.mount_point = pathlib.Path(image), pathlib.Path(mount_point)
        self.mount_point.mkdir(exist_ok=True)
        run("fallocate", "-l", size, self.image)
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", self.image)
        self.mount(self.image)

    def mount(self, image):
        """Mounts an image; the journal is committed by who asks for it, not by the clock."""
        run("mount", "-o", "loop,commit=300", image, self.mount_point)

    def unmount(self):
        """Unmounts, and waits until nobody uses the file system any more."""
        until(f"{self.mount_point} to be unmounted",
              lambda: run("umount", self.mount_point, check=False).returncode == 0)

    def tail(self):
        """Nothing: a disk keeps no log."""
        return ""

    def stop(self):
        """Unmounts whatever is mounted, and lets the memory go."""
        run("umount", "--lazy", self.mount_point, check=False)
        for image in self.image.parent.glob("*image*"):
            image.unlink()
