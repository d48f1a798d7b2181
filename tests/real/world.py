"""The world of one scenario: a folder, and the parts that were started; all are gone at the end."""

import functools
import os
import pathlib
import shutil
import tempfile

from programs import Authority
from suite import Failure


class World:
    """Each kind of world adds its parts."""

    # The directory that the folder is made in: the temporary one.
    PLACE = None

    def __init__(self, name):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sts-real-", dir=self.PLACE))
        os.chmod(self.folder, 0o755)
        self.name, self.parts, self.failed = name, [], False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Stops everything, the last started first; the folder of a world that failed stays."""
        for part in reversed(self.parts):
            try:
                part.stop()
            except Failure as failure:
                print(failure, flush=True)
        if self.failed:
            print(f"(kept: {self.folder})", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self):
        """Starts what every scenario of this kind of world has."""

    def keep(self, part):
        """Remembers a part, to stop it at the end."""
        self.parts.append(part)
        return part

    def file(self, name, text, mode=0o644):
        """A file in the folder."""
        path = self.folder / name
        path.write_text(text)
        os.chmod(path, mode)
        return path

    @functools.cached_property
    def authority(self):
        """The certificate authority of this world."""
        return Authority(self.folder / "authority")

    def logs(self):
        """The ends of all logs, for whoever must find out why."""
        return "\n".join(f"--- {part.name}\n{part.tail()}" for part in self.parts)
