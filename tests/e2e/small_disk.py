# SPDX-License-Identifier: MIT
"""A disk that is soon full."""

import pytest

from network import run


@pytest.fixture
def tmpfs(tmp_path):
    """A small file system of its own; remount(options) changes it."""
    folder = tmp_path / "tmpfs"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "none", str(folder))
    yield folder
    run("umount", "-l", str(folder))


def fill(folder):
    """Leaves no byte free; the path of what is in the way."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler
