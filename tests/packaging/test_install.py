# SPDX-License-Identifier: MIT
"""`cmake --install` with DESTDIR: every file is where the system looks for it, with its mode; what
an administrator has written stays; what names the daemon names the place where it lies."""

import os
import re
import shutil

import pytest

from conftest import TREE
from network import run

# Below the prefix.
PROGRAMS = {
    "sbin/knockd": 0o755,
    "sbin/knockd-firewall": 0o755,
    "bin/knock": 0o755,
    "lib/systemd/system/knockd.service": 0o644,
    "share/man/man1/knock.1": 0o644,
    "share/man/man5/knockd.conf.5": 0o644,
    "share/man/man8/knockd.8": 0o644,
    "share/bash-completion/completions/knock": 0o644,
    "share/bash-completion/completions/knockd": 0o644,
}
# Whatever the prefix.
SETTINGS = {
    "etc/knockd.conf": 0o640,
    "etc/default/knockd": 0o644,
    "etc/logrotate.d/knockd": 0o644,
    "etc/init.d/knockd": 0o755,
}


def install(build, destination):
    run("cmake", "--install", str(build), env={**os.environ, "DESTDIR": str(destination)})


def files_below(folder):
    """{path: mode} of all files."""
    return {str(path.relative_to(folder)): path.stat().st_mode & 0o7777
            for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def prefix(build):
    """Without its first slash."""
    cache = (build / "CMakeCache.txt").read_text()
    return re.search(r"^CMAKE_INSTALL_PREFIX:\w+=/(.*)$", cache, re.MULTILINE).group(1)


@pytest.fixture
def installed(build, tmp_path):
    old = os.umask(0o077)  # of a careful administrator; the modes are the same
    try:
        install(build, tmp_path / "root")
    finally:
        os.umask(old)
    return tmp_path / "root"


def test_each_file_is_in_its_place(installed, prefix):
    examples = {f"share/doc/knockd/examples/{path.name}": 0o644
                for path in (TREE / "conf/examples").glob("*.conf")}
    expected = {f"{prefix}/{path}": mode for path, mode in {**PROGRAMS, **examples}.items()}
    assert files_below(installed) == {**expected, **SETTINGS}


def test_what_the_administrator_has_written_stays(build, installed):
    for path in SETTINGS:
        if path != "etc/init.d/knockd":
            (installed / path).write_text("mine")
    install(build, installed)
    mine = {path for path in SETTINGS if (installed / path).read_text() == "mine"}
    assert mine == set(SETTINGS) - {"etc/init.d/knockd"}


def test_services_start_the_daemon_that_was_installed(installed, prefix):
    program = f"/{prefix}/sbin/knockd"
    unit = (installed / prefix / "lib/systemd/system/knockd.service").read_text()
    assert f"\nExecStart={program} $KNOCKD_OPTS\n" in unit
    assert f"-{program}}}\n" in (installed / "etc/init.d/knockd").read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd")
def test_systemd_finds_no_fault_with_the_unit(build, tmp_path, knockd):
    """In a copy that names a program which exists."""
    unit = (build / "init.d/knockd.service").read_text()
    copy = tmp_path / "knockd.service"
    copy.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={knockd}", unit))
    # It complains of other units of the machine, too.
    said = run("systemd-analyze", "verify", "--man=no", str(copy), check=False).stdout
    assert [line for line in said.splitlines() if "knockd" in line] == []
