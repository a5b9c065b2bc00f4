# SPDX-License-Identifier: MIT
"""A small disk that fills up quickly."""

import pytest

from network import run


@pytest.fixture
def tmpfs(tmp_path):
    """A new small file system."""
    folder = tmp_path / "tmpfs"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "none", str(folder))
    yield folder
    run("umount", "-l", str(folder))


def fill(folder):
    """Fills the disk completely; returns the path of the file that fills it."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler
