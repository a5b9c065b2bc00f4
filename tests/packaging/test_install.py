# SPDX-License-Identifier: MIT
"""`cmake --install` with DESTDIR: every file is where the system looks for it, with its mode; files
of an administrator are kept; files that name the daemon name its installed path."""

import shutil

import pytest

from conftest import TREE, install
from network import run

PROGRAMS = {
    "usr/sbin/knockd": 0o755,
    "usr/sbin/knockd-firewall": 0o755,
    "usr/bin/knock": 0o755,
    "usr/lib/systemd/system/knockd.service": 0o644,
    "usr/lib/systemd/system/knockd-shut.service": 0o644,
    "usr/lib/sysusers.d/knockd.conf": 0o644,
    "usr/lib/tmpfiles.d/knockd.conf": 0o644,
    "usr/share/doc/knockd/copyright": 0o644,
    "usr/share/doc/knockd/unprivileged.conf": 0o644,
    "usr/share/man/man1/knock.1": 0o644,
    "usr/share/man/man5/knockd.conf.5": 0o644,
    "usr/share/man/man8/knockd.8": 0o644,
    "usr/share/man/man8/knockd-firewall.8": 0o644,
    "usr/share/bash-completion/completions/knock": 0o644,
    "usr/share/bash-completion/completions/knockd": 0o644,
    "usr/share/bash-completion/completions/knockd-firewall": 0o644,
}
# For any prefix.
SETTINGS = {
    "etc/knockd.conf": 0o640,
    "etc/default/knockd": 0o644,
    "etc/logrotate.d/knockd": 0o644,
    "etc/init.d/knockd": 0o755,
    "etc/init.d/knockd-shut": 0o755,
}
# If knockd-fleet is built.
FLEET = {
    "usr/sbin/knockd-fleet": 0o755,
    "usr/lib/systemd/system/knockd-fleet.service": 0o644,
    "usr/lib/sysusers.d/knockd-fleet.conf": 0o644,
    "usr/share/doc/knockd-fleet/copyright": 0o644,
    "usr/share/man/man8/knockd-fleet.8": 0o644,
    "usr/share/bash-completion/completions/knockd-fleet": 0o644,
    "etc/knockd-fleet.conf": 0o644,
}


def files_below(folder):
    """{path: mode} of all files."""
    return {str(path.relative_to(folder)): path.stat().st_mode & 0o7777
            for path in folder.rglob("*") if path.is_file()}


def test_each_file_is_in_its_place(installed):
    examples = {f"usr/share/doc/knockd/examples/{path.name}": 0o644
                for path in (TREE / "conf/examples").glob("*.conf")}
    for folder in ("fail2ban", "prometheus"):
        examples |= {f"usr/share/doc/knockd/examples/{path.relative_to(TREE / 'packaging')}":
                     0o755 if path.name == "knockd-metrics" else 0o644
                     for path in (TREE / "packaging" / folder).rglob("*") if path.is_file()}
    fleet = FLEET if (installed / "usr/sbin/knockd-fleet").exists() else {}
    assert files_below(installed) == {**PROGRAMS, **examples, **SETTINGS, **fleet}


def test_files_of_the_administrator_are_kept(build, installed):
    for path in SETTINGS:
        if not path.startswith("etc/init.d/"):
            (installed / path).write_text("mine")
    install(build, installed, "--prefix", "/usr")
    mine = {path for path in SETTINGS if (installed / path).read_text() == "mine"}
    assert mine == {path for path in SETTINGS if not path.startswith("etc/init.d/")}


@pytest.mark.parametrize("prefix", ["/usr", "/opt/knockd"])
def test_services_start_the_daemon_that_was_installed(build, tmp_path, prefix):
    install(build, tmp_path, "--prefix", prefix)
    for name, option in (("knockd", ""), ("knockd-shut", " --shut")):
        unit = (tmp_path / prefix[1:] / f"lib/systemd/system/{name}.service").read_text()
        assert f"\nExecStart={prefix}/sbin/knockd{option} $KNOCKD_OPTS\n" in unit
        assert f"-{prefix}/sbin/knockd}}\n" in (tmp_path / f"etc/init.d/{name}").read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd")
@pytest.mark.parametrize("drop_in", ["", "unprivileged.conf"])
def test_systemd_finds_no_fault_with_the_units(installed, tmp_path, knockd, drop_in):
    """In copies that name an existing program."""
    copies = []
    for name in ("knockd.service", "knockd-shut.service"):
        unit = (installed / "usr/lib/systemd/system" / name).read_text()
        copies.append(tmp_path / name)
        copies[-1].write_text(unit.replace("/usr/sbin/knockd", str(knockd)))
        if drop_in:
            (tmp_path / f"{name}.d").mkdir()
            shutil.copy(installed / "usr/share/doc/knockd" / drop_in, tmp_path / f"{name}.d")
    # It also reports other units of the machine.
    said = run("systemd-analyze", "verify", "--man=no", *map(str, copies), check=False).stdout
    assert [line for line in said.splitlines() if "knockd" in line] == []


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="there is no systemd")
def test_systemd_makes_the_user_and_the_folder(installed, tmp_path):
    """In a separate root."""
    root = tmp_path / "system"
    (root / "etc").mkdir(parents=True)
    (root / "var/lib").mkdir(parents=True)
    for name in ("passwd", "group"):
        (root / "etc" / name).write_text("root:x:0:0::/root:/bin/sh\n" if name == "passwd"
                                         else "root:x:0:\n")
    run("systemd-sysusers", f"--root={root}", str(installed / "usr/lib/sysusers.d/knockd.conf"))
    run("systemd-tmpfiles", "--create", f"--root={root}",
        str(installed / "usr/lib/tmpfiles.d/knockd.conf"))
    name, _, user, group, *_, shell = next(
        line for line in (root / "etc/passwd").read_text().splitlines()
        if line.startswith("_knockd")).split(":")
    assert (name, shell) == ("_knockd", "/usr/sbin/nologin")
    assert int(user) > 0 and int(group) > 0
    assert (root / "var/lib/knockd").stat().st_mode & 0o7777 == 0o700
