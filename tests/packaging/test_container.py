# SPDX-License-Identifier: MIT
"""packaging/Containerfile, whose steps are done in a Debian of its own as a builder would, with
conf/examples/game-server.conf; and its last line as a container runs it: as that user, with one
capability that is no more than allowed, and nothing of /var writable."""

import os

import pytest

import senders
from debian import Debian
from fixtures import TREE
from network import run
from waiting import wait_until

TEST_SECONDS = 120


def steps():
    """[(instruction, rest)]"""
    lines = (TREE / "packaging/Containerfile").read_text().splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]


@pytest.fixture
def debian(server, tmp_path):
    debian = Debian(server, tmp_path, systemd=False)
    yield debian
    debian.close()


@pytest.fixture
def context(tmp_path):
    """The folder with what is copied into the image."""
    folder = tmp_path / "context"
    run("cpack", "-G", "DEB", "-B", str(folder), cwd=os.environ["KNOCKD_BUILD"], timeout=120)
    text = (TREE / "conf/examples/game-server.conf").read_text()
    (folder / "knockd.conf").write_text(text)
    return folder


def build(debian, context):
    """The user and the command of the image."""
    user = command = None
    for instruction, rest in steps():
        if instruction == "COPY":
            *options, source, target = rest.split()
            debian.copy(context / source, target)
            for option in options:
                debian.run("chown", option.removeprefix("--chown="), target)
                debian.run("chmod", "600", target)
        elif instruction == "RUN":
            debian.run("sh", "-ec", rest, timeout=100)
        elif instruction == "USER":
            user = rest
        elif instruction == "CMD":
            command = rest
        else:
            assert instruction == "FROM" and rest.startswith("debian:12")
    return user, command


def test_the_image_wakes_a_server(debian, context, server, client):
    user, command = build(debian, context)
    debian.write("/usr/local/bin/wake-server",
                 "#!/bin/sh\necho \"$KNOCKD_DOOR for $KNOCKD_IP\" >>/tmp/woken\n")
    debian.run("chmod", "755", "/usr/local/bin/wake-server")
    output = context / "output"
    with output.open("wb") as file:
        process = debian.start(
            "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all,+net_raw", "sh", "-c", f"{command}", stdout=file, stderr=file)
    wait_until(lambda: "sleep" in debian.read(f"/proc/{process.pid}/comm"), "the daemon is ready",
               output.read_text)
    # It says that it has no pid file, and is not kept from its work by it.
    assert "/var/run/knockd.pid" in output.read_text()
    senders.with_connect(client, server.ipv4, "25565")
    wait_until(lambda: debian.read("/tmp/woken") == f"minecraft for {client.ipv4}\n", "the command",
               lambda: f"{debian.read('/tmp/woken')}\n{output.read_text()}")
    assert process.poll() is None
