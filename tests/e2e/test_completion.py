# SPDX-License-Identifier: MIT
"""bash completes doors and addresses of a running daemon: TAB is pressed at the end of a line, and
the resulting line is run."""

import pytest

from fixtures import TREE
from network import run

DOORS = ["ssh", "web shop", 'q"uote', "back\\slash", "$(id)", "é"]
CONFIG = """
[options]
Control = {control}
StateFile = none
""" + "".join(f"[{name}]\nSequence = {7000 + number}:udp\nCommand = true\nStop_Command = true\n"
              "Cmd_Timeout = 600\n" for number, name in enumerate(DOORS))
# Splits a line like bash with its usual COMP_WORDBREAKS, without support for quotes.
ASK = r"""
source "$1"
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
COMP_LINE=$2
COMP_POINT=${#2}
line=${2//=/ = }
read -ra COMP_WORDS <<<"${line//:/ : }"
[[ $line != *[[:blank:]] ]] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMPREPLY=()
_knockd
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def control(tmp_path):
    return tmp_path / "control"


@pytest.fixture
def daemon(start, control):
    return start(CONFIG.format(control=control))


@pytest.fixture
def offered(server, knockd, control):
    def offered(words):
        line = f"{knockd} --control {control} {words}"
        done = run(*server.argv("bash", "-c", ASK, "bash", TREE / "packaging/completion/knockd", line))
        return sorted(done.stdout.split("\n")[:-1])

    return offered


def names(words):
    """The words after expansion by the shell."""
    return sorted(run("bash", "-c", "printf '%s\\n' " + " ".join(words)).stdout.splitlines())


def test_doors(daemon, offered, server, knockd, control):
    assert names(offered("--open ")) == sorted(DOORS)
    assert offered("--open s") == ["ssh"]
    assert offered("--close w") == [r"web\ shop"]
    assert offered("--door ss") == offered("--close --door=ss") == ["ssh"]
    assert "all" in offered("--close ") and "all" not in offered("--open ")
    for word in offered("--open "):
        command = f"{knockd} --control {control} --open {word} 192.0.2.9"
        assert "is open to 192.0.2.9 for 600 s" in server.run("bash", "-c", command).stdout


def test_addresses(daemon, offered, server, knockd, control):
    for address in ("192.0.2.7", "2001:db8::7"):
        server.run(knockd, "--control", control, "--open", "ssh", address)
    assert offered("--close ssh ") == ["192.0.2.7", "2001:db8::7"]
    assert offered("--close 1") == offered("--close ssh 1") == ["192.0.2.7"]
    # bash keeps the text before the last colon.
    assert offered("--close ssh 2001:d") == ["db8::7"]
    assert offered("--close 2001:db8::") == ["7"]
    assert offered("--close --door=ssh 1") == ["192.0.2.7"]
    assert offered("--close ssh 192.0.2.7 ") == []
    server.run(knockd, "--control", control, "--close", "ssh", "192.0.2.7")
    assert offered("--close ssh ") == ["2001:db8::7"]
    assert offered("--open ssh 1") == []


def test_a_name_of_an_interface_runs_nothing(offered, server):
    """Whoever may name one, in a container say, is not to run commands as whoever presses TAB."""
    server.run("ip", "link", "add", "$(id)", "type", "veth", "peer", "name", "`id`")
    assert names(offered("-i ")) == ["$(id)", "`id`", "any", "eth0", "lo"]
    assert offered("-i lo,a") == ["lo,any"]


def test_it_is_silent_without_a_daemon(offered):
    assert offered("--open ") == offered("--close ssh ") == []
    assert offered("--close ") == ["all"]
