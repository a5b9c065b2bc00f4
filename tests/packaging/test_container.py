# SPDX-License-Identifier: MIT
"""packaging/container/Containerfile: its steps run in a separate Debian like a builder's, with
conf/examples/game-server.conf; its last line runs like a container: as that user, with only one
capability, nothing in /var writable, and as the first process, to which the kernel delivers only
handled signals."""

import json
import os
import pathlib
import signal

import pytest

import senders
from debian import Debian, Layer
from fixtures import TREE
from network import run
from waiting import wait_until


def steps():
    """[(instruction, rest)]"""
    lines = (TREE / "packaging/container/Containerfile").read_text().splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """The folder with the files that are copied into the image."""
    folder = tmp_path_factory.mktemp("context")
    run("cpack", "-G", "DEB", "-B", str(folder), cwd=os.environ["KNOCKD_BUILD"], timeout=120)
    (folder / "knockd.conf").write_text((TREE / "conf/examples/game-server.conf").read_text())
    return folder


class Image:
    """Its layers, the user and the command, and where knockd.conf is."""

    def __init__(self, context, folder):
        self._context = context
        self.layer = Layer(Debian, folder, False, self._build)

    def _build(self, debian):
        for instruction, rest in steps():
            if instruction == "COPY":
                *options, source, target = rest.split()
                debian.copy(self._context / source, target)
                for option in options:
                    debian.run("chown", option.removeprefix("--chown="), target)
                if source == "knockd.conf":
                    debian.run("chmod", "600", target)  # as the user's file must be
                    self.config = target
            elif instruction == "RUN":
                debian.run("sh", "-ec", rest, timeout=100)
            elif instruction == "USER":
                self.user = rest
            elif instruction == "CMD":
                self.command = json.loads(rest) if rest.startswith("[") else ["sh", "-c", rest]
            else:
                assert instruction == "FROM" and rest.startswith("debian:12")


@pytest.fixture(scope="module")
def image(context, tmp_path_factory):
    image = Image(context, tmp_path_factory.mktemp("image"))
    yield image
    image.layer.close()


@pytest.fixture
def debian(server, image, tmp_path):
    """A fresh container's files."""
    debian = Debian(server, tmp_path, systemd=False, below=image.layer)
    yield debian
    debian.close()


class Container:
    """A running image: a process namespace with its command as the first process."""

    def __init__(self, debian, image, folder):
        self._debian = debian
        self._user = [f"--reuid={image.user}", f"--regid={image.user}", "--clear-groups",
                      "--inh-caps=-all", "--bounding-set=-all,+net_raw"]
        self._output = folder / "output"
        with self._output.open("wb") as output:
            # unshare: its child is the first process inside, and it exits with that child's status.
            self.process = debian.start(
                "unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
                "setpriv", *self._user, *image.command,
                stdout=output, stderr=output)
        wait_until(lambda: "starting up" in self.output(), "the daemon listens", self.output)
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self._first = int(children[0])

    def output(self):
        return self._output.read_text()

    def has_process(self, pid):
        """Zombies count too."""
        return run("nsenter", "-t", str(self._first), "-p", "-m", "-r", "-w", "test", "-e",
                   f"/proc/{pid}", check=False).returncode == 0

    def exec(self, *argv):
        """Like `podman exec`; returns the output."""
        return run("nsenter", "-t", str(self._first), "-p", "-m", "-r", "-w", "setpriv", *self._user,
                   *argv).stdout

    def stop(self):
        """Like `podman stop`; returns the status of the first process."""
        os.kill(self._first, signal.SIGTERM)
        return self.process.wait(10)

    def wait_for(self, path, text):
        wait_until(lambda: self._debian.read(path) == text, f"{text!r} in {path}",
                   lambda: f"{self._debian.read(path)}\n{self.output()}")


@pytest.fixture
def start(debian, image, tmp_path):
    """start() runs the image, start(configuration) with another configuration."""
    containers = []

    def make(config=None):
        if config:
            debian.write(image.config, config)  # the file stays the user's
        containers.append(Container(debian, image, tmp_path))
        return containers[-1]

    yield make
    for container in containers:
        container.process.kill()
        container.process.wait()


def test_the_image_wakes_a_server(debian, start, server, client):
    debian.write("/usr/local/bin/wake-server",
                 "#!/bin/sh\necho \"$KNOCKD_DOOR for $KNOCKD_IP\" >>/tmp/woken\n")
    debian.run("chmod", "755", "/usr/local/bin/wake-server")
    container = start()
    senders.with_connect(client, server.ipv4, "25565")
    container.wait_for("/tmp/woken", f"minecraft for {client.ipv4}\n")
    assert container.process.poll() is None


DOOR = """
[options]
StateFile = none
On_Stop = echo left >>/tmp/ledger
[door]
Sequence = 7000:udp
Start_Command = echo opened >>/tmp/ledger
Cmd_Timeout = 600
Stop_Command = echo closed >>/tmp/ledger
"""


def test_a_stopped_container_closes_its_doors(start, server, client):
    container = start(DOOR)
    senders.with_nc(client, server.ipv4, "7000:udp")
    container.wait_for("/tmp/ledger", "opened\n")
    assert container.stop() == 0
    container.wait_for("/tmp/ledger", "opened\nclosed\nleft\n")


def test_the_daemon_of_a_container_can_be_asked(start, server, client):
    container = start(DOOR)
    senders.with_nc(client, server.ipv4, "7000:udp")
    container.wait_for("/tmp/ledger", "opened\n")
    assert f"door  {client.ipv4}" in container.exec("knockd", "--status")
    assert container.exec("knockd", "--close", "all") == "1 opening closed\n"
    container.wait_for("/tmp/ledger", "opened\nclosed\n")


def test_orphaned_processes_are_reaped(debian, start, server, client):
    """The duty of a first process, because the number of processes is limited."""
    debian.run("mkfifo", "-m", "666", "/tmp/end")
    container = start(DOOR.replace(
        "echo opened", "sh -c 'echo $$ >/tmp/orphan; read end </tmp/end' & echo opened"))
    senders.with_nc(client, server.ipv4, "7000:udp")
    container.wait_for("/tmp/ledger", "opened\n")
    orphan = wait_until(lambda: debian.read("/tmp/orphan").strip(), "its number", container.output)
    assert container.has_process(orphan)
    debian.run("sh", "-c", "echo end >/tmp/end")
    wait_until(lambda: not container.has_process(orphan), f"the end of {orphan}", container.output)
