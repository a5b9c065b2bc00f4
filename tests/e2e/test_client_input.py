# SPDX-License-Identifier: MIT
"""Each failure is one line, with the exit status that the man page promises."""

import pathlib
import shutil
import subprocess
import tempfile

import pytest

from client_fixtures import knock  # noqa: F401: a fixture

USAGE, NAME_NOT_FOUND, NO_PERMISSION, NOT_OPENED = 1, 2, 3, 4
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


@pytest.fixture
def refusal(client, knock_binary):
    """refusal(*arguments): the status and the single line on standard error."""

    def run(*arguments, prefix=(), binary=knock_binary):
        done = subprocess.run(client.argv(*prefix, binary, *arguments), capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, timeout=30, check=False)
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("knock: "), done.stderr
        return done.returncode, done.stderr.removeprefix("knock: ").rstrip("\n")

    return run


@pytest.fixture
def open_folder():
    """A folder that everyone may enter; the tree and pytest's own folders may be closed."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def as_nobody(open_folder, knock_binary):
    """Options for refusal() and Host.run(): the client without privileges."""
    return {"prefix": NOBODY, "binary": shutil.copy(knock_binary, open_folder)}


PORT = "expected a number from 1 to 65535"
EMPTY = "empty sequence: expected a list of ports like 7000,8000:udp,9000"


@pytest.mark.parametrize("arguments, said", [
    (["0"], f'port "0": {PORT}'),
    (["65536"], f'port "65536": {PORT}'),
    (["abc"], f'port "abc": {PORT}'),
    (["7000", "-1"], "unknown option -1; try knock --help"),
    (["80:icmp"], 'protocol "icmp": expected tcp or udp'),
    ([""], EMPTY),
    (["--sequence", ""], EMPTY),
    (["7000,,9000"], f'port "": {PORT}'),
    ([], "no port given; try knock --help"),
    (["-d", "soon", "7000"], 'delay "soon": expected a time like 300ms or 0.3s'),
    (["--interface", "nosuch0", "7000"], 'interface "nosuch0": there is none of this name'),
    (["--source", "198.51.100.7", "7000"], "source 198.51.100.7: not an address of this host"),
    (["--config", "/nonexistent", "--door", "x"], "/nonexistent: No such file or directory"),
    (["7000", "--check"], "--check: expected a port, as in --check 22"),
    (["--nonsense", "7000"], "unknown option --nonsense; try knock --help"),
])
def test_faulty_command_line(refusal, server, arguments, said):
    assert refusal(server.ipv4, *arguments) == (USAGE, said)


def test_no_host(refusal):
    assert refusal() == (USAGE, "no host given; try knock --help")


HOST = "expected a name or an address, and the ports behind it"


def test_a_forgotten_host_is_an_error(refusal):
    """7000 would be the address 0.0.27.88, and the knocks would be reported as sent."""
    assert refusal("7000", "8000", "9000") == (USAGE, f'host "7000": {HOST}')
    assert refusal("7000,8000,9000") == (USAGE, f'host "7000,8000,9000": {HOST}')


def test_a_door_without_a_known_port(refusal, server, tmp_path):
    config = tmp_path / "knockd.conf"
    config.write_text("[bell]\nsequence = 1,2\ncommand = logger\n")
    assert refusal(server.ipv4, "--config", config, "--door", "bell", "--check") == (
        USAGE, f'--check: no tcp port is found that door "bell" of {config} opens: expected one, as in'
               " --check 22")


def test_door_that_is_not_in_the_file(refusal, server, tmp_path):
    config = tmp_path / "knockd.conf"
    config.write_text("[openSSH]\nsequence = 1,2\n[closeSSH]\nsequence = 2,1\n")
    assert refusal(server.ipv4, "--config", config, "--door", "opensesame") == (
        USAGE, f'{config}: no door "opensesame": expected one of: openSSH, closeSSH')


def test_faulty_file(refusal, server, tmp_path):
    config = tmp_path / "knockd.conf"
    config.write_text("[openSSH]\nsequence = 7000,abc\n")
    assert refusal(server.ipv4, "--config", config, "--door", "openSSH") == (
        USAGE, f'{config}:2:17: port "abc": {PORT}')


@pytest.mark.parametrize("arguments", [["nosuchhost.invalid"], ["123.456.789.012"],
                                       ["-6", "192.0.2.1"], ["-4", "2001:db8::1"], [""]])
def test_unknown_host(refusal, arguments):
    status, said = refusal(*arguments, "7000")
    if arguments == [""]:
        assert (status, said) == (USAGE, "no host given; try knock --help")
    else:
        assert status == NAME_NOT_FOUND
        assert said.startswith(f'host "{arguments[-1]}": ')


def test_a_mistake_uses_no_sequence_up(refusal, tmp_path):
    sequences = tmp_path / "list"
    sequences.write_text("7000,8000\n")
    assert refusal("nosuchhost.invalid", "--one-time", sequences)[0] == NAME_NOT_FOUND
    assert refusal("192.0.2.1", "--interface", "nosuch0", "--one-time", sequences)[0] == USAGE
    assert sequences.read_text() == "7000,8000\n"


@pytest.mark.parametrize("knock_at", ["7000", "7000:udp"])
@pytest.mark.parametrize("host", ["203.0.113.1", "2001:db8:1::1"])
def test_unreachable_network(refusal, host, knock_at):
    assert refusal(host, knock_at) == (NOT_OPENED, f"{host}: Network is unreachable")


def test_unreachable_host(refusal, client):
    client.run("ip", "route", "add", "unreachable", "203.0.113.0/24")
    assert refusal("203.0.113.1", "7000") == (NOT_OPENED, "203.0.113.1: No route to host")


def test_firewall_that_forbids_sending(refusal, client, server):
    client.run("iptables", "-A", "OUTPUT", "-p", "udp", "-j", "DROP")
    assert refusal(server.ipv4, "7000:udp") == (NO_PERMISSION,
                                                f"{server.ipv4}: Operation not permitted")


def test_flags_need_a_capability(refusal, server, as_nobody):
    assert refusal("--flags", "fin", server.ipv4, "7000", **as_nobody) == (
        NO_PERMISSION, "--flags needs a raw socket (CAP_NET_RAW): Operation not permitted")


def test_unreadable_files(refusal, server, as_nobody, open_folder):
    secret = open_folder / "secret"
    secret.write_text("7000,8000\n")
    secret.chmod(0o600)
    for arguments in (["--config", secret, "--door", "x"], ["--one-time", secret]):
        assert refusal(server.ipv4, *arguments, **as_nobody) == (
            NO_PERMISSION, f"{secret}: Permission denied")
    assert secret.read_text() == "7000,8000\n"


def test_knocks_need_no_capability(client, server, as_nobody):
    client.run(*as_nobody["prefix"], as_nobody["binary"], "--interface", "eth0", server.ipv4, "7000",
               "8000:udp")


def test_help_and_version(knock):
    assert knock("-V").stdout.startswith("knock ")
    assert knock("--version").stdout == knock("-V").stdout
    assert knock("-h").stdout.startswith("usage: knock ")
    assert knock("--help").stdout == knock("-h").stdout
