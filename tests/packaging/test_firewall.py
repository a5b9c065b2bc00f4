# SPDX-License-Identifier: MIT
"""knockd-firewall with real nft and iptables in the test network, and with stubs of uci and
firewalld. Also the sets and rules for fw4, in a table like fw4's."""

import fcntl
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from conftest import TREE
from daemon import Daemon
from network import run
from waiting import wait_until

PROGRAM = TREE / "src/firewall/knockd-firewall"
STAND_INS = TREE / "tests/packaging/firewall"
# An administrator's ruleset: drops everything except established connections.
ALL_DROPPED = """
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop
        ct state established,related accept
        icmpv6 type != echo-request accept
    }
    chain forward {
        type filter hook forward priority filter; policy drop
        ct state established,related accept
        icmpv6 type != echo-request accept
    }
}
"""


# Of the client and the stranger, for tests without packets.
CLIENT, STRANGER = "192.0.2.2", "192.0.2.3"

# Root without the capability to read or change any firewall.
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")


class Firewall:
    """knockd-firewall on a host, with $KNOCKD_FIREWALL, or with the firewall that it finds if that
    is empty."""

    def __init__(self, host, shell, folder, kind=""):
        self._host = host
        self.shell = shell
        self._argv = [*shell, PROGRAM]
        self.environment = {**os.environ, "KNOCKD_FIREWALL": kind,
                            "KNOCKD_LOCK": str(folder / "lock"), "STAND_IN_STATE": str(folder)}

    def run(self, *arguments, prefix=(), **environment):
        return self._host.run(*prefix, *self._argv, *arguments, check=False,
                              env={**self.environment, **environment})

    def refused(self, *arguments, **environment):
        """The one-line message of a failure."""
        done = self.run(*arguments, **environment)
        assert done.returncode == 1, done.stdout
        lines = done.stdout.splitlines()
        assert len(lines) == 1 and lines[0].startswith("knockd-firewall: "), done.stdout
        return lines[0].removeprefix("knockd-firewall: ")

    def __call__(self, *arguments, **environment):
        done = self.run(*arguments, **environment)
        assert done.returncode == 0, done.stdout
        assert done.stdout == ""


def shut(host, kind):
    """Loads the same rules with either tool."""
    if kind == "nft":
        host.run("nft", ALL_DROPPED)
        return
    for iptables in ("iptables", "ip6tables"):
        for chain in ("INPUT", "FORWARD"):
            host.run(iptables, "-A", chain, "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED",
                     "-j", "ACCEPT")
            if iptables == "ip6tables":
                host.run(iptables, "-A", chain, "-p", "icmpv6", "-j", "ACCEPT")
            host.run(iptables, "-P", chain, "DROP")


def rules(host, kind):
    """All rules of the firewall."""
    if kind == "nft":
        return host.run("nft", "-s", "list", "ruleset").stdout
    return "".join(host.run(iptables, "-t", table, "-S").stdout
                   for iptables in ("iptables", "ip6tables") for table in ("filter", "nat"))


SHELLS = ["dash", "busybox sh"]
KINDS = ["nft", "iptables"]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def in_turn(**axes):
    """Marks a test for all combinations of these, each by one shell or the other in turn: a value meets
    both where there are two axes or more."""
    rows = [(*(value for _, value in row), SHELLS[sum(number for number, _ in row) % len(SHELLS)])
            for row in itertools.product(*(enumerate(values) for values in axes.values()))]
    names = [*axes, "shell"]
    return pytest.mark.parametrize(names, rows, indirect=[name for name in names if name in ("kind", "shell")])


@pytest.fixture
def shut_server(server, kind):
    shut(server, kind)
    return server


@pytest.fixture
def firewall(shut_server, shell, tmp_path, kind):
    """With the real tools; it detects which."""
    return Firewall(shut_server, shell, tmp_path)


@in_turn(kind=KINDS, family=[4, 6])
def test_a_port_is_opened_to_one_address_and_closed(network, firewall, kind, family):
    server, client, stranger = network.server, network.client, network.stranger
    address = server.address(family)
    server.serve(22)
    shut_up = rules(server, kind)
    assert not client.reaches(address, 22)

    firewall("open-port", "KnockdSSH", client.address(family), 22)
    assert client.reaches(address, 22, timeout=2)
    assert not stranger.reaches(address, 22)
    assert f"KnockdSSH_{client.address(family)}_22" in rules(server, kind)

    opened = rules(server, kind)
    firewall("open-port", "KnockdSSH", client.address(family), 22)
    assert rules(server, kind) == opened

    for _ in range(2):
        firewall("close-port", "KnockdSSH", client.address(family), 22)
        assert rules(server, kind) == shut_up


@pytest.fixture
def router(network, kind):
    """The server as a router between client and stranger, whose answers pass through it."""
    server, client, stranger = network.server, network.client, network.stranger
    server.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
               "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth0.send_redirects=0")
    # Without a link-local address a router cannot resolve neighbours for other hosts.
    server.run("ip", "addr", "add", "fe80::1/64", "dev", "eth0", "nodad")
    stranger.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_redirects=0")
    for family in (4, 6):
        stranger.run("ip", f"-{family}", "route", "add", client.address(family), "via",
                     server.address(family))
    stranger.serve(80)
    return server


@in_turn(kind=KINDS, form=["new", "old"], family=[4, 6])
def test_a_forward_leads_one_address_to_a_machine_behind(network, router, firewall, kind,
                                                            family, form):
    client = network.client
    source, inside = client.address(family), network.stranger.address(family)
    if form == "new":
        port, name = 81, f"KnockdFW_{source}_81"
        add = ("forward-port", "KnockdFW", source, 81, inside, 80)
        remove = ("remove-forward-port", "KnockdFW", source, 81)
    else:
        port, name = 80, f"Knockd_{source}_80"
        add, remove = (80, source, inside, "-I"), (80, source, inside, "-D")
    assert not client.reaches(router.address(family), port)

    for _ in range(2):
        firewall(*add)
    assert client.reaches(router.address(family), port, timeout=2)
    assert rules(router, kind).count(name) == 2  # one redirects, one accepts
    for _ in range(2):
        firewall(*remove)
    assert not client.reaches(router.address(family), port)
    assert name not in rules(router, kind)


def test_several_ports_and_udp_at_once(shut_server, firewall, kind):
    before = rules(shut_server, kind)
    firewall("open-port", "all", CLIENT, 22, "443:tcp", "1194:udp")
    added = rules(shut_server, kind)
    for name, protocol, port in (("22", "tcp", 22), ("443", "tcp", 443), ("1194_udp", "udp", 1194)):
        rule = next(line for line in added.splitlines() if f'"all_192.0.2.2_{name}"' in line)
        assert re.search(rf"{protocol} .*dport {port} ", rule)
    firewall("close-port", "all", CLIENT, 22, "443:tcp", "1194:udp")
    assert rules(shut_server, kind) == before


def test_names_that_are_alike_are_not_mixed_up(shut_server, firewall, kind):
    firewall("open-port", "ssh", "192.0.2.1", 22)
    firewall("open-port", "ssh", "192.0.2.1", 2222)
    firewall("open-port", "sshd", "192.0.2.1", 22)
    firewall("close-port", "ssh", "192.0.2.1", 22)
    left = rules(shut_server, kind)
    assert '"ssh_192.0.2.1_2222"' in left and '"sshd_192.0.2.1_22"' in left
    assert '"ssh_192.0.2.1_22"' not in left


def test_simultaneous_doors_give_one_rule(shut_server, shell, tmp_path, kind):
    firewall = Firewall(shut_server, shell, tmp_path)
    argv = [*shell, PROGRAM, "open-port", "ssh", CLIENT, "22"]
    several = [shut_server.start(*argv, env=firewall.environment) for _ in range(8)]
    assert [process.wait(90) for process in several] == [0] * 8
    assert rules(shut_server, kind).count("ssh_192.0.2.2_22") == 1


def test_the_commands_of_older_guides_work_under_their_names(network, router, firewall, tmp_path,
                                                             kind):
    """Unchanged, with the same blanks."""
    for name in ("uciknockd.sh", "forward.sh"):
        (tmp_path / name).symlink_to(PROGRAM)
    guides = "".join(path.read_text() for path in (TREE / "tests/data/config/good").glob("seed001*"))
    commands = re.findall(r"= */(?:etc|path/to)/((?:uciknockd|forward)\.sh .*)$", guides, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        name, *arguments = command.replace("%IP%", network.client.ipv4).split()
        done = router.run(*firewall.shell, tmp_path / name, *arguments, check=False,
                          env=firewall.environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        opens = not re.search(r"close|remove|-D", command)
        mark = f"{arguments[1] if name == 'uciknockd.sh' else 'Knockd'}_{network.client.ipv4}_"
        assert (mark in rules(router, kind)) == opens, f"{command}\n{rules(router, kind)}"


@in_turn(door=[
    ([], "    Open          = 22,1194:udp\n    Open_For      = 1h\n"),
    (["--command"], "    Start_Command = knockd-firewall open-port ssh %IP% 22 1194:udp\n")])
def test_a_drawn_door_is_accepted_by_the_daemon(shell, knockd, tmp_path, door):
    options, lines = door
    made = set()
    for number in range(10):
        drawn = run(*shell, str(PROGRAM), "new-door", *options, "ssh", "22", "1194:udp").stdout
        config = tmp_path / f"{number}.conf"
        config.write_text(drawn)
        config.chmod(0o600)
        said = run(str(knockd), "-t", "-c", str(config), "-i", "any",
                   env={**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}).stdout
        assert said == "configuration OK\n", f"{drawn}\n{said}"
        knocks = re.search(r"Sequence += (.*)", drawn)[1].replace(",", " ")
        assert f"knock HOST {knocks}\n" in drawn
        assert lines in drawn
        made.add(knocks)
    assert len(made) == 10


def test_no_door_is_drawn_without_random_numbers(tmp_path):
    """It must not search for ever."""
    done = run("/bin/sh", str(PROGRAM), "new-door", "ssh", "22", check=False, timeout=10,
               env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert "knockd-firewall: no random number" in done.stdout
    assert "Sequence" not in done.stdout


def new_door(shell, config, *arguments):
    """`new-door` with `config` as the daemon's configuration: its status and messages."""
    done = run(*shell, str(PROGRAM), "new-door", *arguments, check=False,
               env={**os.environ, "KNOCKD_CONFIG": str(config)})
    return done.returncode, done.stdout


@in_turn(header=["[ssh]", "  [ ssh ]  # mine", "\t[ssh]\r"])
def test_a_second_door_of_one_name_is_refused(shell, header, tmp_path):
    """The result of `new-door ssh 22 >>/etc/knockd.conf`, run twice."""
    config = tmp_path / "knockd.conf"
    config.write_text(f"[options]\n{header}\nSequence = 1,2,3\n[ssh-2]\nSequence = 4,5,6\n")
    assert new_door(shell, config, "ssh", "22") == (
        1, f"knockd-firewall: {config} has a door [ssh]: expected another name, such as ssh-3\n")
    for free in ("ssh-3", "ss", "sshd", "SSH"):
        status, said = new_door(shell, config, free, "22")
        assert status == 0 and f"[{free}]\n" in said, said


def test_a_door_is_drawn_with_a_missing_or_unreadable_configuration(shell, tmp_path):
    config = tmp_path / "knockd.conf"
    status, said = new_door(shell, config, "ssh", "22")
    assert status == 0 and "knockd-firewall:" not in said
    config.mkdir()
    status, said = new_door(shell, config, "ssh", "22")
    assert status == 0 and "[ssh]\n" in said
    assert f"knockd-firewall: {config} cannot be read: not known whether it has a door [ssh]\n" in said


TOTP = r"""
\[ssh\]
    Sequence      = totp,totp,totp,totp
    Secrets       = {secrets}
    TCPFlags      = syn
    Open          = 22
    Open_For      = 1h
    # From elsewhere: knock HOST totp totp totp totp --secret FILE
"""


def new_totp_door(shell, tmp_path, *arguments, **variables):
    """Its output for the configuration, its messages for the user, and its status."""
    done = subprocess.run([*shell, PROGRAM, "new-door", "--totp", *arguments], text=True, timeout=30,
                          check=False, stdin=subprocess.DEVNULL, capture_output=True,
                          env={**os.environ, "KNOCKD_CONFIG": str(tmp_path / "none"), **variables})
    return done.stdout, done.stderr, done.returncode


def test_a_door_that_changes_with_time_has_a_user_and_a_secret(shell, knockd, knock_binary, tmp_path):
    secrets = tmp_path / "secrets"
    secrets.write_text("# ours\nbob GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")  # without the last newline
    secrets.chmod(0o644)
    door, told, status = new_totp_door(shell, tmp_path, "--user", "alice", "--secrets", str(secrets),
                                       "ssh", "22")
    assert status == 0 and re.fullmatch(TOTP.format(secrets=secrets), door), door + told
    lines = secrets.read_text().splitlines()
    assert lines[:2] == ["# ours", "bob GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"] and len(lines) == 3
    secret = re.fullmatch("alice ([A-Z2-7]{32})", lines[2])[1]
    assert secrets.stat().st_mode & 0o777 == 0o600
    uri = re.search(r"(otpauth://totp/\S+)", told)[1]
    assert re.fullmatch(rf"otpauth://totp/([A-Za-z0-9.-]+):alice\?secret={secret}&issuer=\1&digits=8", uri)
    assert f"with this line: alice {secret}\n" in told
    assert secret not in door
    config = tmp_path / "knockd.conf"
    config.write_text(door)
    config.chmod(0o600)
    said = run(str(knockd), "-t", "-c", str(config), "-i", "any").stdout
    assert said.splitlines()[-1] == "configuration OK", said
    mine = tmp_path / "mine"
    mine.write_text(f"alice {secret}\n")
    mine.chmod(0o600)
    for line in re.findall(r"(knock (?:--page )?HOST [^>\n]*)", door + told):
        words = line.replace("HOST", "127.0.0.1").replace("FILE", str(mine)).split()
        run(str(knock_binary), *words[1:])


def test_a_user_is_added_once_and_a_file_is_never_rewritten(shell, tmp_path):
    secrets = tmp_path / "secrets"
    for user in ("alice", "alic", "al.ce"):  # a dot is not a pattern
        assert new_totp_door(shell, tmp_path, "--user", user, "--secrets", str(secrets), "ssh", "22")[2] == 0
    before = secrets.read_text()
    assert new_totp_door(shell, tmp_path, "--user", "alice", "--secrets", str(secrets), "ssh", "22") == (
        "", f"knockd-firewall: {secrets} has a user alice: expected another name, by --user\n", 1)
    assert secrets.read_text() == before and len(before.splitlines()) == 3


@in_turn(caller=[("alice", "alice"), ("a b", "me"), ("root", "me")])
def test_the_user_is_the_caller(shell, tmp_path, caller):
    sudo_user, user = caller
    secrets = tmp_path / "secrets"
    assert new_totp_door(shell, tmp_path, "--secrets", str(secrets), "ssh", "22",
                         SUDO_USER=sudo_user)[2] == 0
    assert secrets.read_text().startswith(user + " ")


@in_turn(mistake=[
    (["--user", "a b", "ssh", "22"], "user: a b: expected letters, digits, ., _ and -"),
    (["--user", "a" * 33, "ssh", "22"], f"user: {'a' * 33}: longer than 32 characters"),
    (["--secrets", "secrets", "ssh", "22"],
     "secrets: secrets: expected a whole path, of letters, digits, /, ., _ and -"),
    (["--secrets", "/tmp/'x", "ssh", "22"],
     "secrets: /tmp/'x: expected a whole path, of letters, digits, /, ., _ and -"),
    (["--secrets", "/nonexistent/secrets", "ssh", "22"],
     "/nonexistent/secrets: the user could not be added"),
])
def test_a_door_that_cannot_have_a_secret_is_not_printed(shell, tmp_path, mistake):
    arguments, said = mistake
    door, told, status = new_totp_door(shell, tmp_path, *arguments)
    assert (door, status) == ("", 1)
    assert told.splitlines()[-1] == f"knockd-firewall: {said}"


@in_turn(make=[os.mkfifo, os.mkdir])
def test_only_a_regular_file_is_accepted_for_secrets(shell, tmp_path, make):
    """As root it would change the mode of a device."""
    path = tmp_path / "secrets"
    make(path, 0o755)
    mode = path.stat().st_mode
    assert new_totp_door(shell, tmp_path, "--secrets", str(path), "ssh", "22") == (
        "", f"knockd-firewall: {path}: expected a regular file\n", 1)
    assert path.stat().st_mode == mode


def test_the_qr_code_is_the_address(tmp_path):
    """The view of a camera on a dark terminal: an image of the printed blocks."""
    _, told, _ = new_totp_door(["/bin/sh"], tmp_path, "--secrets", str(tmp_path / "secrets"), "ssh", "22")
    uri = re.search(r"(otpauth://totp/\S+)", told)[1]
    rows = []
    for line in re.findall(r"\x1b\[40;37;1m([ █▀▄]+)\x1b\[0m", told):
        rows += [[c in "█▀" for c in line], [c in "█▄" for c in line]]
    scale = 8
    pixels = [bytes(255 * light for light in row for _ in range(scale)) for row in rows
              for _ in range(scale)]
    picture = tmp_path / "qr.pgm"
    picture.write_bytes(b"P5 %d %d 255\n" % (len(pixels[0]), len(pixels)) + b"".join(pixels))
    assert run("zbarimg", "--quiet", "--raw", picture).stdout.splitlines()[-1] == uri


UCI_DOOR = r"""
config rule{section}
\toption sequence '(\d+),(\d+):udp,(\d+)'
\toption seq_timeout '15'
\toption tcpflags 'syn'
\toption open '22,1194:udp'
\toption open_for '1h'
    # From elsewhere: knock HOST \1 \2:udp \3
"""


def test_with_uci_a_door_is_a_rule_of_uci(with_stand_ins, tmp_path):
    config = tmp_path / "knockd"
    config.write_text("config options 'common'\n\nconfig rule 'web'\n\nconfig rule\n"
                      "\toption name 'vpn'\n")
    firewall = with_stand_ins("uci")
    firewall.environment["KNOCKD_CONFIG"] = str(config)
    for name, section in (("ssh", r" 'ssh'"), ("my-ssh", r"\n\toption name 'my-ssh'")):
        done = firewall.run("new-door", name, "22", "1194:udp")
        assert re.fullmatch(UCI_DOOR.replace("{section}", section), done.stdout), done.stdout
    for name in ("web", "vpn"):
        done = firewall.run("new-door", name, "80")
        assert (done.returncode, done.stdout) == (
            1, f"knockd-firewall: {config} has a door [{name}]: expected another name, such as "
               f"{name}-2\n")
    done = firewall.run("new-door", "--command", "ssh", "22")
    assert "\toption start_command 'knockd-firewall open-port ssh %IP% 22'\n" in done.stdout
    secrets = tmp_path / "secrets"
    done = firewall.run("new-door", "--totp", "--secrets", str(secrets), "ssh", "22")
    assert (f"\toption sequence 'totp,totp,totp,totp'\n\toption secrets '{secrets}'\n"
            in done.stdout), done.stdout


@in_turn(mistake=[
    (["opn-port", "ssh", "192.0.2.7", "22"],
     "knockd-firewall: unknown action opn-port (did you mean open-port?); try knockd-firewall --help"),
    (["new_door", "ssh", "22"],
     "knockd-firewall: unknown action new_door (did you mean new-door?); try knockd-firewall --help"),
    (["--hlep"],
     "knockd-firewall: unknown action --hlep (did you mean --help?); try knockd-firewall --help"),
    (["nonsense"], "knockd-firewall: unknown action nonsense; try knockd-firewall --help"),
    ([], "knockd-firewall: no action; try knockd-firewall --help"),
    (["open-port", "ssh", "192.0.2.7"],
     "usage: knockd-firewall open-port NAME ADDRESS PORT...; try knockd-firewall --help"),
    (["new-door", "ssh"],
     "usage: knockd-firewall new-door [--command] [--totp] [--user USER] [--secrets FILE] NAME PORT...;"
     " try knockd-firewall --help"),
    (["new-door", "--command", "ssh"],
     "usage: knockd-firewall new-door [--command] [--totp] [--user USER] [--secrets FILE] NAME PORT...;"
     " try knockd-firewall --help"),
    (["new-door", "--user", "alice", "ssh", "22"],
     "knockd-firewall: --user and --secrets need --totp"),
    (["new-door", "--comand", "ssh", "22"],
     "knockd-firewall: name: --comand: expected letters, digits, - and _"),
    (["22", "192.0.2.7", "10.0.0.1"],
     "usage: knockd-firewall PORT ADDRESS TO_ADDRESS -I|-D; try knockd-firewall --help"),
])
def test_a_mistyped_word_gets_one_line(shell, mistake):
    arguments, said = mistake
    done = run(*shell, str(PROGRAM), *arguments, check=False)
    assert (done.returncode, done.stdout) == (1, said + "\n")


REFUSED = [
    ("new-door", "options", "22"),
    ("new-door", "Options", "22"),
    ("new-door", "a b", "22"),
    ("new-door", "ssh"),
    ("new-door", "ssh", "22\nCommand = reboot"),
    ("open-port", "ssh", "192.0.2.7; reboot", "22"),
    ("open-port", "ssh", "192.0.2.256", "22"),
    ("open-port", "ssh", "192.0.2.010", "22"),
    ("open-port", "ssh", "192.0.2", "22"),
    ("open-port", "ssh", "192.0.2.7/0", "22"),
    ("open-port", "ssh", "host.example", "22"),
    ("open-port", "ssh", "1:2:3::4 accept", "22"),
    ("open-port", "ssh", "", "22"),
    ("open-port", "ssh", "-j", "22"),
    ("open-port", "a b", "192.0.2.7", "22"),
    ("open-port", "$(reboot)", "192.0.2.7", "22"),
    ("open-port", "-x", "192.0.2.7", "22"),
    ("open-port", "", "192.0.2.7", "22"),
    ("open-port", "ssh", "192.0.2.7", "0"),
    ("open-port", "ssh", "192.0.2.7", "65536"),
    ("open-port", "ssh", "192.0.2.7", "22:sctp"),
    ("open-port", "ssh", "192.0.2.7", "22:23"),
    ("open-port", "ssh", "192.0.2.7", "22,23"),
    ("open-port", "ssh", "192.0.2.7", "22", "x"),
    ("open-port", "ssh", "192.0.2.7"),
    ("open-door", "ssh", "192.0.2.7", "22"),
    ("forward-port", "web", "192.0.2.7", "81", "fe80::1", "80"),
    ("forward-port", "web", "192.0.2.7", "81", "10.0.0.1", "80;"),
    ("forward-port", "web", "192.0.2.7", "81", "10.0.0.1"),
    ("22", "192.0.2.7", "10.0.0.1", "-X"),
    ("22", "192.0.2.7", "10.0.0.1"),
    (),
]


def test_an_invalid_name_address_or_port_is_refused(shut_server, firewall, kind):
    before = rules(shut_server, kind)
    for arguments in REFUSED:
        done = firewall.run(*arguments)
        assert done.returncode == 1, arguments
        assert done.stdout.startswith(("knockd-firewall: ", "usage: ")), arguments
    assert rules(shut_server, kind) == before


@pytest.fixture
def with_stand_ins(server, shell, tmp_path):
    """A host whose firewall is uci, or firewalld, as `kind` says."""
    def make(kind=""):
        firewall = Firewall(server, shell, tmp_path, kind)
        firewall.environment["PATH"] = f"{STAND_INS}:{firewall.environment['PATH']}"
        return firewall
    return make


TOOLS = ["sed", "tr", "grep", "awk", "sort", "head"]


def killed(tool, folder, at=None):
    """A folder with a `tool` that ends without a message, as when memory is short: always, or at one of
    its calls. Then it leaves the file `died` there."""
    stub = folder / f"killed{at}" / tool
    stub.parent.mkdir()
    stub.write_text(f"""#!/bin/sh
cd {stub.parent} || exit
printf x >>calls
case $(stat -c %s calls) in {at or "*"}) : >died; kill -9 $$ ;; esac
exec {shutil.which(tool)} "$@"
""")
    stub.chmod(0o755)
    return stub.parent


@in_turn(kind=KINDS, tool=TOOLS)
def test_a_killed_tool_is_a_failure(shut_server, firewall, kind, tool, tmp_path):
    """At its first call, at its second, and so on."""
    for call in itertools.count(1):
        folder = killed(tool, tmp_path, at=call)
        firewall("open-port", "x", CLIENT, 22)
        done = firewall.run("close-port", "x", CLIENT, 22, PATH=f"{folder}:{firewall.environment['PATH']}")
        is_shut = f"x_{CLIENT}_22" not in rules(shut_server, kind)
        assert is_shut or done.returncode != 0, done.stdout
        if not (folder / "died").exists():
            assert is_shut and done.returncode == 0, done.stdout
            break


@in_turn(kind=KINDS, form=["port", "forward"])
def test_a_failed_close_is_a_failure(shut_server, firewall, kind, form):
    """With the real tools, to which the kernel refuses access."""
    if form == "port":
        add, remove = ("open-port", "x", CLIENT, 22), ("close-port", "x", CLIENT, 22)
    else:
        add = ("forward-port", "x", CLIENT, 22, STRANGER, 80)
        remove = ("remove-forward-port", "x", CLIENT, 22)
    before = rules(shut_server, kind)
    firewall(*add)
    opened = rules(shut_server, kind)
    done = firewall.run(*remove, prefix=WITHOUT_RIGHTS)
    assert done.returncode == 1 and "knockd-firewall: " in done.stdout
    assert rules(shut_server, kind) == opened
    firewall(*remove)
    assert f"x_{CLIENT}_22" not in rules(shut_server, kind)
    assert form == "forward" or rules(shut_server, kind) == before


@in_turn(kind=["iptables"], broken=["-S", "-D"])
def test_a_rule_that_only_iptables_knows_is_not_reported_as_closed(shut_server, firewall, tmp_path, kind,
                                                                   broken):
    """nft is present and works, but does not see the name that iptables uses."""
    firewall("open-port", "x", CLIENT, 22)
    opened = rules(shut_server, kind)
    iptables = tmp_path / "bin/iptables"
    iptables.parent.mkdir()
    iptables.write_text(f"""#!/bin/sh
        case " $* " in
          *" {broken} "*) echo "iptables: Resource temporarily unavailable." >&2; exit 4 ;;
        esac
        exec /usr/sbin/iptables "$@"
        """)
    iptables.chmod(0o755)
    done = firewall.run("close-port", "x", CLIENT, 22,
                        PATH=f"{iptables.parent}:{os.environ['PATH']}")
    assert done.returncode == 1 and "Resource temporarily unavailable" in done.stdout
    assert rules(shut_server, kind) == opened


# Rulesets without an `inet filter`: each drops packets to port 22.
ESTABLISHED = "ct state established,related accept; icmpv6 type != echo-request accept;"
OTHER_RULESETS = {
    "policy of ip filter": """
        table ip filter { chain input { type filter hook input priority 0; policy drop; } }
        table ip6 filter { chain input { type filter hook input priority 0; policy drop;
            icmpv6 type != echo-request accept; } }""",
    "upper case, as iptables names them": """
        table ip filter { chain INPUT { type filter hook input priority 0; policy drop; } }
        table ip6 filter { chain INPUT { type filter hook input priority 0; policy drop;
            icmpv6 type != echo-request accept; } }""",
    "a rule at the end": f"""
        table inet mine {{ chain in {{ type filter hook input priority 0; {ESTABLISHED}
            counter drop comment "the rest"; }} }}""",
    "reject": f"""
        table inet mine {{ chain in {{ type filter hook input priority 0; {ESTABLISHED}
            reject with icmpx type admin-prohibited; }} }}""",
    "a chain that is jumped to": f"""
        table inet mine {{
            chain last {{ drop; }}
            chain services {{ tcp dport 1-1000 goto last; }}
            chain in {{ type filter hook input priority 0; {ESTABLISHED}
                meta l4proto {{ tcp, udp }} jump services; }} }}""",
    "a map of verdicts": f"""
        table inet mine {{
            chain last {{ drop; }}
            map ports {{ type inet_service : verdict; elements = {{ 22 : jump last }} }}
            chain in {{ type filter hook input priority 0; {ESTABLISHED}
                tcp dport vmap @ports; }} }}""",
    "two tables": f"""
        table inet first {{ chain in {{ type filter hook input priority -10; policy drop;
            {ESTABLISHED} }} }}
        table inet second {{ chain in {{ type filter hook input priority 10; policy drop;
            {ESTABLISHED} }} }}""",
    # Debian's iptables also makes tables of nft.
    "a table beside iptables": f"""
        table inet mine {{ chain in {{ type filter hook input priority 0; policy drop;
            {ESTABLISHED} }} }}
        table ip filter {{ chain INPUT {{ type filter hook input priority 0; policy drop; }} }}
        table ip6 filter {{ chain INPUT {{ type filter hook input priority 0; policy drop;
            icmpv6 type != echo-request accept; }} }}""",
}


def load(host, ruleset):
    """Loads rules written on one line; adds the newline that nft needs before a brace."""
    host.run("nft", ruleset.replace(" }", "\n}") + "\n")


class TestChains:
    """An accept has no effect where nothing drops."""

    @pytest.fixture
    def firewall(self, server, shell, tmp_path):
        return Firewall(server, shell, tmp_path)

    @in_turn(ruleset=OTHER_RULESETS, family=[4, 6])
    def test_those_that_drop_are_found(self, network, firewall, ruleset, family):
        server, client, stranger = network.server, network.client, network.stranger
        load(server, OTHER_RULESETS[ruleset])
        server.serve(22)
        address, knocker = server.address(family), client.address(family)
        before = rules(server, "nft")
        assert not client.reaches(address, 22)
        for _ in range(2):
            firewall("open-port", "ssh", knocker, 22)
        assert client.reaches(address, 22, timeout=2)
        assert not stranger.reaches(address, 22)
        for _ in range(2):
            firewall("close-port", "ssh", knocker, 22)
        assert rules(server, "nft") == before

    def test_iptables_legacy_is_a_separate_firewall(self, network, firewall):
        server, client = network.server, network.client
        if server.run("iptables-legacy", "-P", "INPUT", "DROP", check=False).returncode != 0:
            pytest.skip("this kernel has no tables of iptables-legacy")
        server.run("iptables-legacy", "-P", "FORWARD", "DROP")
        before = server.run("iptables-legacy", "-S").stdout
        server.serve(22)
        assert not client.reaches(server.ipv4, 22)
        firewall("open-port", "ssh", client.ipv4, 22)
        assert client.reaches(server.ipv4, 22, timeout=2)
        firewall("forward-port", "web", client.ipv4, 81, "192.0.2.3", 80)
        assert "web_192.0.2.2_81" in server.run("iptables-legacy", "-S", "FORWARD").stdout
        firewall("remove-forward-port", "web", client.ipv4, 81)
        firewall("close-port", "ssh", client.ipv4, 22)
        assert server.run("iptables-legacy", "-S").stdout == before
        assert "DNAT" not in rules(server, "iptables")

    NOTHING_DROPS = {
        "nothing at all": ("", "none"),
        "only what accepts": (
            """table inet mine { chain in { type filter hook input priority 0;
                 tcp dport 22 accept comment "no drop here"; log prefix "drop "; } }""",
            "nft inet mine in"),
        "a table that is switched off": (
            """table inet mine { flags dormant; chain in { type filter hook input priority 0;
                 policy drop; } }""", "none"),
        "another hook": (
            """table inet mine { chain out { type filter hook output priority 0;
                 policy drop; } }""",
            "none"),
        "a table of the other family": (
            """table ip6 mine { chain in { type filter hook input priority 0; policy drop; } }""",
            "none"),
        "a chain that no one jumps to": (
            """table inet mine { chain input { drop; }
                 chain in { type filter hook input priority 0; } }""", "nft inet mine in"),
    }

    @in_turn(what=NOTHING_DROPS)
    def test_without_a_dropping_chain_the_error_lists_what_was_found(self, server, firewall, what):
        ruleset, found = self.NOTHING_DROPS[what]
        load(server, ruleset)
        before = rules(server, "nft")
        said = firewall.refused("open-port", "ssh", "192.0.2.2", 22, KNOCKD_FIREWALL="nft")
        assert said == (f"no chain at the input hook drops (found: {found});"
                        " KNOCKD_INPUT chooses one")
        said = firewall.refused("open-port", "ssh", "192.0.2.2", 22)
        assert "no chain at the input hook drops (found: " in said
        firewall("close-port", "ssh", "192.0.2.2", 22)
        assert rules(server, "nft") == before

    def test_the_chain_can_be_chosen(self, network, firewall):
        server, client = network.server, network.client
        load(server, f"""
            table inet mine {{
                chain friends {{ }}
                chain in {{ type filter hook input priority 0; policy drop;
                    {ESTABLISHED} jump friends; }} }}
            table ip6 other {{ chain friends {{ }} }}""")
        server.run("iptables", "-N", "knockers")
        server.serve(22)
        for chosen in ("inet mine friends,ip6 other friends", "inet mine friends, knockers"):
            firewall.environment["KNOCKD_INPUT"] = chosen
            for _ in range(2):
                firewall("open-port", "ssh", client.ipv4, 22)
            assert client.reaches(server.ipv4, 22, timeout=2)
            chain = server.run("nft", "list", "chain", "inet", "mine", "friends").stdout
            assert chain.count("ssh_192.0.2.2_22") == 1
            assert rules(server, "nft").count("dport 22") == 1 + ("knockers" in chosen)
            chain = server.run("iptables", "-S", "knockers").stdout
            assert chain.count("ssh_192.0.2.2_22") == ("knockers" in chosen)
            del firewall.environment["KNOCKD_INPUT"]
            # It is found by its name at any place.
            firewall("close-port", "ssh", client.ipv4, 22)
            assert "dport 22" not in rules(server, "nft")

    @in_turn(chosen=["inet mine", "inet mine in more", "arp mine in"])
    def test_a_name_that_is_not_a_chain_is_refused(self, server, firewall, chosen):
        said = firewall.refused("open-port", "ssh", "192.0.2.2", 22, KNOCKD_INPUT=chosen)
        assert said == (f"KNOCKD_INPUT: {chosen}: expected FAMILY TABLE CHAIN or CHAIN,"
                        " with commas between")

    def test_a_chain_of_the_other_family_is_refused(self, server, firewall):
        said = firewall.refused("open-port", "ssh", "192.0.2.2", 22, KNOCKD_INPUT="ip6 mine in")
        assert said.startswith("no chain at the input hook drops")

    def test_a_missing_chain_is_a_failure(self, server, firewall):
        done = firewall.run("open-port", "ssh", "192.0.2.2", 22, KNOCKD_INPUT="inet mine in")
        assert done.returncode == 1

    def test_a_forward_goes_through_each_chain_that_drops(self, network, firewall):
        server, client, stranger = network.server, network.client, network.stranger
        server.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0",
                   "net.ipv4.conf.eth0.send_redirects=0")
        stranger.run("ip", "route", "add", client.ipv4, "via", server.ipv4)
        stranger.serve(80)
        # The case of Docker next to one's own rules.
        server.run("iptables", "-P", "FORWARD", "DROP")
        server.run("iptables", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j",
                   "ACCEPT")
        load(server, f"""table inet mine {{ chain through {{
            type filter hook forward priority 0; {ESTABLISHED} drop; }} }}""")
        before = rules(server, "nft")
        for _ in range(2):
            firewall("forward-port", "web", client.ipv4, 81, stranger.ipv4, 80)
        assert client.reaches(server.ipv4, 81, timeout=2)
        for _ in range(2):
            firewall("remove-forward-port", "web", client.ipv4, 81)
        assert not client.reaches(server.ipv4, 81)
        server.run("nft", "delete", "table", "inet", "knockd")
        assert rules(server, "nft") == before


class TestLock:
    @pytest.fixture
    def firewall(self, server, shell, tmp_path):
        shut(server, "nft")
        return Firewall(server, shell, tmp_path)

    def test_a_hung_run_delays_others_for_a_bounded_time(self, firewall, tmp_path):
        """With a `sleep` that returns at once, accepts only whole seconds, and counts them."""
        sleep = tmp_path / "bin/sleep"
        sleep.parent.mkdir()
        sleep.write_text(f"#!/bin/sh\n[ $1 = 1 ] && echo >>{tmp_path}/slept\n")
        sleep.chmod(0o755)
        firewall.environment["PATH"] = f"{sleep.parent}:{firewall.environment['PATH']}"
        with open(tmp_path / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            said = firewall.refused("open-port", "ssh", "192.0.2.2", 22)
        assert said == f"{tmp_path}/lock: another run has held it for a minute"
        assert (tmp_path / "slept").read_text().count("\n") == 60
        firewall("open-port", "ssh", "192.0.2.2", 22)

    def test_a_lock_that_cannot_be_made_is_an_error(self, firewall, tmp_path):
        said = firewall.refused("open-port", "ssh", "192.0.2.2", 22,
                                KNOCKD_LOCK=f"{tmp_path}/none/lock")
        assert said == f"{tmp_path}/none/lock: cannot be written"


class TestUci:
    @pytest.fixture
    def firewall(self, with_stand_ins, server):
        server.run("nft", "add table inet fw4")
        return with_stand_ins()  # uci is used if it exists

    @pytest.fixture
    def committed(self, tmp_path):
        """The sections on flash: {name: {"": type, option: value}}."""
        def read():
            path = tmp_path / "committed"
            sections = {}
            for line in path.read_text().splitlines() if path.exists() else []:
                name, option, value = re.fullmatch(r"firewall\.(\w+)\.?(\w*)='?(.*?)'?", line).groups()
                sections.setdefault(name, {})[option] = value
            return sections
        return read

    @pytest.fixture
    def staged(self, tmp_path):
        """The lines of `uci changes`."""
        def read():
            path = tmp_path / "changes"
            return path.read_text().splitlines() if path.exists() else []
        return read

    @pytest.fixture
    def state(self, tmp_path, committed, staged):
        """The committed sections, and the commits and reloads."""
        def read():
            assert staged() == []
            calls = tmp_path / "calls"
            return (list(committed().values()),
                    calls.read_text().splitlines() if calls.exists() else [])
        return read

    @pytest.fixture
    def administrator(self, tmp_path, committed):
        """An administrator with a zone and a staged rule that admits everyone."""
        (tmp_path / "committed").write_text("firewall.cfg01dc81=zone\n"
                                            "firewall.cfg01dc81.input='REJECT'\n")

        def stage():
            (tmp_path / "changes").write_text(f"{self.STAGED}\n")
        return stage

    STAGED = "firewall.cfg01dc81.input='ACCEPT'"
    FORWARD = ("forward-port", "web", "1.1.1.1", 81, "10.0.0.9", 80)
    UNFORWARD = ("remove-forward-port", "web", "1.1.1.1", 81)

    def test_an_open_port_is_a_rule_that_luci_shows(self, firewall, state):
        for _ in range(2):
            firewall("open-port", "KnockdSSH", "1.1.1.1", 22)
        assert state() == (
            [{"": "rule", "name": "KnockdSSH_1.1.1.1_22", "src": "wan", "family": "ipv4",
              "src_ip": "1.1.1.1", "proto": "tcp", "dest_port": "22", "target": "ACCEPT"}],
            ["commit", "fw4 -q reload"])
        for _ in range(2):
            firewall("close-port", "KnockdSSH", "1.1.1.1", 22)
        assert state() == ([], ["commit", "fw4 -q reload"] * 2)

    @in_turn(tool=TOOLS)
    def test_a_killed_tool_is_a_failure(self, firewall, committed, tool, tmp_path):
        firewall("open-port", "x", "1.1.1.1", 22)
        done = firewall.run("close-port", "x", "1.1.1.1", 22,
                            PATH=f"{killed(tool, tmp_path)}:{firewall.environment['PATH']}")
        assert (done.returncode != 0) == (committed() != {}), done.stdout

    @in_turn(tool=TOOLS[::-1])  # each by the shell that is not above
    def test_a_killed_tool_commits_no_changes_of_others(self, firewall, committed, tool, tmp_path,
                                                        administrator):
        administrator()
        firewall.run("open-port", "x", "1.1.1.1", 22,
                     PATH=f"{killed(tool, tmp_path)}:{firewall.environment['PATH']}")
        assert committed()["cfg01dc81"]["input"] == "REJECT"

    def test_a_forward_is_a_redirect_of_that_address_only(self, firewall, state):
        for _ in range(2):
            firewall("forward-port", "KnockdFW", "2001:db8::7", 81, "2001:db8::99", 80)
        assert state()[0] == [
            {"": "redirect", "name": "KnockdFW_2001:db8::7_81", "src": "wan", "family": "ipv6",
             "src_ip": "2001:db8::7", "proto": "tcp", "src_dport": "81",
             "dest_ip": "2001:db8::99", "dest_port": "80", "target": "DNAT", "dest": "lan",
             "reflection": "0"}]
        firewall("remove-forward-port", "KnockdFW", "2001:db8::7", 81)
        assert state()[0] == []

    def test_several_ports_reload_once(self, firewall, state):
        firewall("open-port", "all", "1.1.1.1", 22, 80, "1194:udp")
        sections, calls = state()
        assert [section["name"] for section in sections] == [
            "all_1.1.1.1_22", "all_1.1.1.1_80", "all_1.1.1.1_1194_udp"]
        assert calls == ["commit", "fw4 -q reload"]

    def test_names_that_are_alike_are_not_mixed_up(self, firewall, state):
        names = ["a-b", "a_b", "a__b", "a", "a_mb"]
        for name in names:
            firewall("forward-port", name, "1.1.1.1", 81, "10.0.0.9", 80)
        assert [section["name"] for section in state()[0]] == [f"{n}_1.1.1.1_81" for n in names]
        for number, name in enumerate(names, 1):
            firewall("remove-forward-port", name, "1.1.1.1", 81)
            assert len(state()[0]) == len(names) - number

    def test_a_rule_that_fails_leaves_nothing(self, firewall, state):
        assert firewall.run("open-port", "ssh", "1.1.1.1", 22,
                            UCI_REFUSES="ACCEPT").returncode == 1
        assert state() == ([], [])

    @in_turn(action=["show", "changes", "delete", "commit"])
    def test_a_failed_close_is_a_failure(self, firewall, state, action):
        firewall(*self.FORWARD)
        before = state()
        assert firewall.run(*self.UNFORWARD, UCI_FAILS=action).returncode == 1
        assert state() == before
        firewall(*self.UNFORWARD)
        assert state()[0] == []

    @in_turn(action=["show", "changes", "set", "commit"])
    def test_a_failed_open_is_a_failure(self, firewall, state, action):
        assert firewall.run(*self.FORWARD, UCI_FAILS=action).returncode == 1
        assert state() == ([], [])

    def test_a_reload_that_failed_is_repeated(self, firewall, state):
        """Even by a run that has nothing to change."""
        assert firewall.run(*self.FORWARD, FW4_FAILS="1").returncode == 1
        assert firewall.run(*self.FORWARD, FW4_FAILS="1").returncode == 1
        firewall(*self.FORWARD)
        firewall(*self.FORWARD)
        assert state()[1] == ["commit"] + ["fw4 -q reload"] * 3
        assert firewall.run(*self.UNFORWARD, FW4_FAILS="1").returncode == 1
        firewall(*self.UNFORWARD)
        assert state() == ([], ["commit"] + ["fw4 -q reload"] * 3 + ["commit"] +
                           ["fw4 -q reload"] * 2)

    @in_turn(command=["open", "forward", "unforward", "forget"])
    def test_staged_changes_of_an_administrator_are_not_committed(self, firewall, committed, staged,
                                                                  administrator, command):
        firewall("forward-port", "web", "1.1.1.2", 81, "10.0.0.9", 80)
        before = committed()
        administrator()
        arguments = {"open": ("open-port", "ssh", "1.1.1.1", 22), "forward": self.FORWARD,
                     "unforward": ("remove-forward-port", "web", "1.1.1.2", 81),
                     "forget": ("forget-all",)}[command]
        said = firewall.refused(*arguments)
        assert said == ("UCI has changes of firewall that are not committed:"
                        " commit or revert them first")
        assert staged() == [self.STAGED]
        assert committed() == before

    def test_changes_staged_in_between_are_not_committed(self, firewall, committed, staged,
                                                         administrator):
        before = committed()
        firewall.refused(*self.FORWARD, UCI_MEANWHILE="firewall.cfg01dc81.input=ACCEPT")
        assert staged() == [self.STAGED]
        assert committed() == before

    def test_a_call_without_effect_ignores_staged_changes(self, firewall, administrator, staged):
        administrator()
        firewall(*self.UNFORWARD)
        assert staged() == [self.STAGED]

    def test_changes_staged_by_a_killed_run_are_discarded(self, firewall, state, tmp_path):
        (tmp_path / "changes").write_text("firewall.knockd_firewall_rule_ssh__1_d1_d1_d1__22='rule'\n")
        firewall(*self.FORWARD)
        assert [section["name"] for section in state()[0]] == ["web_1.1.1.1_81"]

    def test_after_a_boot_all_our_rules_are_forgotten(self, firewall, state, committed,
                                                      administrator):
        before = committed()
        firewall(*self.FORWARD)
        firewall("forward-port", "web", "2001:db8::7", 82, "2001:db8::99", 80)
        firewall("open-port", "ssh", "1.1.1.1", 22)
        for _ in range(2):
            firewall("forget-all")
            assert committed() == before
        assert state()[1] == ["commit", "fw4 -q reload"] * 4

    @in_turn(action=["show", "changes", "delete", "commit"])
    def test_a_failed_forget_is_a_failure(self, firewall, state, action):
        firewall(*self.FORWARD)
        before = state()
        assert firewall.run("forget-all", UCI_FAILS=action).returncode == 1
        assert state() == before

    def test_without_uci_there_is_nothing_to_forget(self, server, shell, tmp_path):
        shut(server, "nft")
        firewall = Firewall(server, shell, tmp_path)
        firewall("open-port", "ssh", "1.1.1.1", 22)
        before = rules(server, "nft")
        firewall("forget-all")
        assert rules(server, "nft") == before

    def test_a_process_left_by_a_reload_delays_no_other_run(self, firewall, tmp_path):
        left = tmp_path / "left"
        try:
            firewall("forward-port", "web", "1.1.1.1", 81, "10.0.0.9", 80, FW4_LEAVES=left)
            pid = int(left.read_text())
            held = [os.readlink(path) for path in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
            assert str(tmp_path / "lock") not in held
            with open(tmp_path / "lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            if left.exists():
                os.kill(int(left.read_text()), signal.SIGKILL)


class TestFirewalld:
    @pytest.fixture
    def firewall(self, with_stand_ins):
        return with_stand_ins("firewalld")

    RULE = 'rule family="ipv4" source address="1.1.1.1" port port="22" protocol="tcp" accept'

    def test_an_open_port_is_a_rich_rule(self, firewall, tmp_path):
        for _ in range(2):
            firewall("open-port", "ssh", "1.1.1.1", 22)
        assert (tmp_path / "default").read_text() == f"{self.RULE}\n"
        for _ in range(2):
            firewall("close-port", "ssh", "1.1.1.1", 22)
        assert (tmp_path / "default").read_text() == ""

    def test_the_zone_can_be_chosen(self, firewall, tmp_path):
        firewall("open-port", "ssh", "1.1.1.1", 22, KNOCKD_ZONE="public")
        assert (tmp_path / "public").read_text() == f"{self.RULE}\n"

    def test_a_forward_is_removed_for_any_destination(self, firewall, tmp_path):
        firewall("forward-port", "web", "1.1.1.1", 81, "10.0.0.9", 80)
        firewall("forward-port", "web", "1.1.1.1", 82, "10.0.0.9", 80)
        forward = ('rule family="ipv4" source address="1.1.1.1" forward-port port="{}"'
                   ' protocol="tcp" to-port="80" to-addr="10.0.0.9"\n')
        assert (tmp_path / "default").read_text() == forward.format(81) + forward.format(82)
        firewall("remove-forward-port", "web", "1.1.1.1", 81)
        assert (tmp_path / "default").read_text() == forward.format(82)

    # A missing answer does not mean that the rule is absent. Python exits with 1 when it crashes.
    @in_turn(failure=["1:query", "252:query", "254:query", "254:remove"])
    def test_a_failed_close_is_a_failure(self, firewall, tmp_path, failure):
        firewall("open-port", "ssh", "1.1.1.1", 22)
        done = firewall.run("close-port", "ssh", "1.1.1.1", 22, FIREWALLD_FAILS=failure)
        assert done.returncode == 1
        assert (tmp_path / "default").read_text() == f"{self.RULE}\n"

    @in_turn(failure=["252:list", "254:remove"])
    def test_a_forward_that_stays_is_a_failure(self, firewall, tmp_path, failure):
        firewall("forward-port", "web", "1.1.1.1", 81, "10.0.0.9", 80)
        before = (tmp_path / "default").read_text()
        done = firewall.run("remove-forward-port", "web", "1.1.1.1", 81, FIREWALLD_FAILS=failure)
        assert done.returncode == 1
        assert (tmp_path / "default").read_text() == before

    def test_one_port_that_stays_open_does_not_keep_others_open(self, firewall, tmp_path):
        firewall("open-port", "all", "1.1.1.1", 22, 80)
        rule = self.RULE.replace('"22"', '"80"')
        done = firewall.run("close-port", "all", "1.1.1.1", 22, 80,
                            FIREWALLD_FAILS="254:query", FIREWALLD_FAILS_FOR='port="22"')
        assert done.returncode == 1
        assert (tmp_path / "default").read_text() == f"{self.RULE}\n", rule

    def test_a_firewalld_in_an_unknown_state_is_not_skipped(self, with_stand_ins, tmp_path):
        """Otherwise its rule would stay unnoticed."""
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/firewall-cmd").symlink_to(STAND_INS / "firewall-cmd")
        firewall = with_stand_ins()
        firewall.environment["PATH"] = f"{tmp_path}/bin:{os.environ['PATH']}"
        done = firewall.run("close-port", "ssh", "1.1.1.1", 22, FIREWALLD_FAILS="254:state")
        assert done.returncode == 1
        assert done.stdout.endswith("knockd-firewall: firewall-cmd --state has failed\n")


@pytest.fixture
def reload(server, tmp_path):
    """reload() renders fw4's table again, with the sets and rules of OpenWrt's package."""
    files = TREE / "openwrt/files"
    ruleset = tmp_path / "fw4.nft"
    ruleset.write_text(f"""
        table inet fw4
        flush table inet fw4
        table inet fw4 {{
            chain input {{
                type filter hook input priority filter; policy drop
                ct state established,related accept
                icmpv6 type != echo-request accept
                iifname "eth0" jump input_wan
            }}
            chain input_wan {{
                include "{files}/input_wan.nft"
                drop
            }}
            include "{files}/sets.nft"
        }}
        """)

    def reload():
        server.run("nft", "-f", ruleset)
    reload()
    return reload


class TestSetsOfFw4:
    """The files that OpenWrt's package adds to fw4."""

    @pytest.mark.parametrize("family", [4, 6])
    def test_an_element_opens_a_port_and_survives_a_reload(self, network, reload, family):
        server, client, stranger = network.server, network.client, network.stranger
        address = server.address(family)
        server.serve(22)
        server.serve(23)
        assert not client.reaches(address, 22)
        server.run("nft", f"add element inet fw4 knockd{family}"
                          f" {{ {client.address(family)} . tcp . 22 timeout 1h }}")
        assert client.reaches(address, 22, timeout=2)
        reload()
        assert client.reaches(address, 22, timeout=2)
        assert not client.reaches(address, 23)
        assert not stranger.reaches(address, 22)

    def test_the_kernel_closes_by_itself(self, network, reload):
        server, client = network.server, network.client
        server.serve(22)
        server.run("nft", f"add element inet fw4 knockd4 {{ {client.ipv4} . tcp . 22 timeout 1s }}")
        wait_until(lambda: not client.reaches(server.ipv4, 22), "the end of the element")
        assert client.ipv4 not in server.run("nft", "list", "set", "inet", "fw4", "knockd4").stdout


class TestPortsInSetsOfFw4:
    """knockd-firewall with these sets: UCI, and therefore the flash, is not changed."""

    @pytest.fixture
    def firewall(self, with_stand_ins, reload, tmp_path):
        yield with_stand_ins()
        assert not (tmp_path / "committed").exists() and not (tmp_path / "calls").exists()

    @staticmethod
    def seconds_left(server):
        listed = json.loads(server.run("nft", "-j", "list", "set", "inet", "fw4", "knockd4").stdout)
        elements = next(each["set"] for each in listed["nftables"] if "set" in each).get("elem", [])
        return [each["elem"]["expires"] for each in elements]

    @in_turn(family=[4, 6])
    def test_a_port_is_opened_to_one_address_and_closed(self, network, firewall, reload, family):
        server, client, stranger = network.server, network.client, network.stranger
        address, knocker = server.address(family), client.address(family)
        server.serve(22)
        server.serve(23)
        shut_up = rules(server, "nft")
        for _ in range(2):
            firewall("open-port", "ssh", knocker, 22, "1194:udp")
        reload()
        assert client.reaches(address, 22, timeout=2)
        assert not client.reaches(address, 23)
        assert not stranger.reaches(address, 22)
        for _ in range(2):
            firewall("close-port", "ssh", knocker, 22, "1194:udp")
        assert not client.reaches(address, 22)
        assert rules(server, "nft") == shut_up

    def test_opening_again_renews_the_time(self, server, firewall):
        firewall("open-port", "ssh", "192.0.2.2", 22, KNOCKD_TIMEOUT="1h")
        assert 3000 < self.seconds_left(server)[0] <= 3600
        firewall("open-port", "ssh", "192.0.2.2", 22)
        left = self.seconds_left(server)
        assert len(left) == 1 and 86000 < left[0] <= 86400

    def test_staged_changes_have_no_effect(self, server, firewall, tmp_path):
        staged = "firewall.cfg0392bd='rule'\n"
        (tmp_path / "changes").write_text(staged)
        firewall("open-port", "ssh", "192.0.2.2", 22)
        firewall("close-port", "ssh", "192.0.2.2", 22)
        assert (tmp_path / "changes").read_text() == staged

    @in_turn(time=["", "0s", "1", "h", "1w", "1h; flush ruleset", "1h1m"])
    def test_an_invalid_time_is_refused(self, server, firewall, time):
        said = firewall.refused("open-port", "ssh", "192.0.2.2", 22, KNOCKD_TIMEOUT=time or " ")
        assert said == f"KNOCKD_TIMEOUT: {time or ' '}: expected a time such as 90s, 10m, 1h or 2d"

    def test_a_set_that_no_rule_uses_is_a_failure(self, server, firewall):
        said = firewall.refused("open-port", "ssh", "192.0.2.2", 22, KNOCKD_ZONE="guest")
        assert said == "no rule of the chain input_guest in inet fw4 accepts by the set knockd4"
        assert self.seconds_left(server) == []
        # Closing needs only the set.
        firewall("open-port", "ssh", "192.0.2.2", 22)
        firewall("close-port", "ssh", "192.0.2.2", 22, KNOCKD_ZONE="guest")
        assert self.seconds_left(server) == []

    def test_nothing_is_open_when_fw4_was_stopped(self, server, firewall):
        server.run("nft", "delete table inet fw4")
        said = firewall.refused("open-port", "ssh", "192.0.2.2", 22)
        assert said == "fw4 is not running: there is no table inet fw4"
        firewall("close-port", "ssh", "192.0.2.2", 22)

    def test_a_failed_close_is_a_failure(self, server, firewall):
        firewall("open-port", "ssh", "192.0.2.2", 22)
        done = firewall.run("close-port", "ssh", "192.0.2.2", 22, prefix=WITHOUT_RIGHTS)
        assert done.returncode == 1
        assert len(self.seconds_left(server)) == 1


def test_a_second_knock_extends_a_drawn_door(server, client, frames, knockd, tmp_path):
    """It is closed once, for both."""
    shut(server, "nft")
    server.serve(22)
    door = run(str(PROGRAM), "new-door", "--command", "ssh", "22").stdout
    knocks = re.search(r"Sequence += (.*)", door)[1]
    daemon = Daemon(server, knockd, tmp_path / "run", door,
                    prefix=["env", f"PATH={PROGRAM.parent}:{os.environ['PATH']}",
                            f"KNOCKD_LOCK={tmp_path}/lock"])
    for number in (1, 2):
        frames.knock(knocks)
        daemon.wait_for(rf"{client.ipv4}: ssh: OPEN SESAME", count=number)
        wait_until(lambda: client.reaches(server.ipv4, 22), "the port is open", daemon.report)
    daemon.wait_for(rf"{client.ipv4}: ssh: already open, time extended")
    assert daemon.stop() == 0
    assert len(daemon.matching(r"ssh: running command: .* close-port .*")) == 1, daemon.report()
    assert len(daemon.matching(r"ssh: running command: .* open-port .*")) == 1, daemon.report()
    # It outlives a daemon that waits no longer for it.
    wait_until(lambda: "ssh_" not in rules(server, "nft"), "the port is closed", daemon.report)
