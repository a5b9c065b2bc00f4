# SPDX-License-Identifier: MIT
"""README: its transcript is what scripts/demo prints. For a knock that does not open: the commands
that it shows are run as written, and each log line that it names is produced."""

import re

import pytest

import senders
from daemon import Daemon
from fixtures import TREE
from network import OWN_MOUNTS, run
from waiting import wait_until

DOOR = """
[ssh]
    Sequence    = 7421,3096,5518
    Seq_Timeout = 1
    TCPFlags    = syn
    Command     = false
"""
README = (TREE / "README.md").read_text()
SECTION = README.split("## When a knock does not open\n")[1].split("\n## ")[0]


def commands():
    return [line.split("#")[0].strip() for line in re.findall(r"^    (.*)$", SECTION, re.MULTILINE)]


def quoted():
    """The code in the bold text at the start of each list item."""
    beginnings = re.findall(r"^- \*\*(.*?)\*\*", SECTION, re.MULTILINE)
    return [text for beginning in beginnings for text in re.findall(r"`([^`]*)`", beginning)]


@pytest.fixture
def shell(server, knockd, tmp_path):
    """Runs a command line of the README on the server, with the door in /etc/knockd.conf."""
    config = tmp_path / "etc/knockd.conf"
    config.parent.mkdir()
    config.write_text(DOOR)
    config.chmod(0o600)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "knockd").symlink_to(knockd)

    def argv(line):
        place = f"mount -t overlay none -o lowerdir={config.parent}:/etc /etc && cd {tmp_path}"
        return [*OWN_MOUNTS, "sh", "-ec",
                f"PATH={programs}:$PATH; {place}; exec {line}"]

    return argv


def test_the_commands_show_a_knock(server, client, shell, tmp_path):
    test, debug, capture, replay = commands()
    assert "configuration OK" in server.run(*shell(test)).stdout

    told = tmp_path / "told"
    with told.open("wb") as file:
        server.start(*shell(debug), stdout=file)
    wait_until(lambda: "starting up" in told.read_text(), "it listens")
    said = tmp_path / "said"
    with said.open("wb") as file:
        # It prints each packet at once (-U), and keeps its user, who may write here (-Z).
        server.start(*shell(capture.replace("-w", "-U -Z root -w")), stderr=file)
    wait_until(lambda: "listening on" in said.read_text(), "tcpdump listens", said.read_text)
    senders.with_connect(client, server.ipv4, "7421,3096,5518")
    wait_until(lambda: "knock 3 accepted" in told.read_text(), "a line on each packet",
               told.read_text)
    wait_until(lambda: "ssh: would run: false" in server.run(*shell(replay), check=False).stdout,
               "the same from the capture")


def test_each_quoted_log_line_can_occur(server, client, frames, knockd, tmp_path):
    daemon = Daemon(server, knockd, tmp_path / "run", "[options]\nInterface = eth0, none0\n" + DOOR,
                    "-D", interface=None)
    senders.with_connect(client, server.ipv4, "7421,3096,5518")
    daemon.wait_for("ssh: command returned non-zero .*")
    frames.tcp(99)
    frames.tcp(7421)
    daemon.wait_for(r"\S+: ssh: sequence timeout \(stage 1\)")
    frames.tcp(7421)
    frames.tcp(5518)
    frames.tcp(7421, flags="A")
    frames.tcp(7421)
    for port in range(100, 120):
        frames.tcp(port)
    daemon.wait_for(r"\S+: ssh: port scan, knock discarded")
    frames.tcp(7421)
    refused = Daemon(server, knockd, tmp_path / "refused", DOOR + "Open = 22\n", listens=False,
                     prefix=["capsh", "--drop=cap_net_admin", "--", "-c", 'exec "$@"', "sh"])
    assert refused.wait_for_end() == 1
    lines = [line for line in quoted() if line not in ("-D", "to an address at which no door is")]
    assert len(lines) >= 8
    for line in lines:
        pattern = re.escape(line).replace(r"stage\ N", r"stage\ \d")
        wait_until(lambda: re.search(pattern, refused.output() + daemon.output() +
                                     "\n".join(daemon.lines())), line,
                   daemon.report)


def test_the_transcript_equals_the_output_of_the_demo(knockd):
    shown = re.search(r"(?m)^From the output of `scripts/demo`.*\n\n((?:    .*\n|\n)+)", README)[1]
    printed = run("env", f"KNOCKD_BINARY={knockd}", TREE / "scripts/demo", timeout=60).stdout
    shown = [line.removeprefix("    ").rstrip() for line in shown.strip("\n").splitlines()]
    assert len(shown) > 15
    assert "\n".join(shown) in "\n".join(line.rstrip() for line in printed.splitlines())
