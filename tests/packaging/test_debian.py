# SPDX-License-Identifier: MIT
"""The Debian package in a separate Debian: installed with its dependencies, upgraded with open
doors and from Debian's 0.8, removed and purged, with its log rotated; under systemd, and with only
init scripts."""

import os
import re

import pytest

import senders
from debian import Debian, Layer
from fixtures import TREE
from network import run
from storm import Storm, source
from waiting import repeat_until, wait_until

TEST_SECONDS = 240  # apt and systemd are slow
CONFIG = """
[options]
LogFile = /var/log/knockd.log
Interface = eth0
{options}
[ssh]
Sequence = 7421,3096,5518
TCPFlags = syn
Start_Command = echo opened %IP% >>/root/ledger
Cmd_Timeout = 600
Stop_Command = echo closed %IP% >>/root/ledger
"""


class Machine(Debian):
    """A Debian with queries for the service, independent of its init system."""

    def take(self, package):
        """Puts the package into /root."""
        self.package = package.name
        self.copy(package, f"/root/{package.name}")

    def install_by_apt(self, *options):
        """It finds the dependencies."""
        self.run("apt-get", "-q", "install", "-y", *options, f"/root/{self.package}", timeout=120)

    def install(self):
        """Installs the package again, over the installed one."""
        self.run("dpkg", "--force-confold", "-i", f"/root/{self.package}")

    def start_for_good(self):
        if self.systemd:
            self.run("systemctl", "enable", "--now", "knockd")
        else:
            self.write("/etc/default/knockd", "START_KNOCKD=1\n")
            self.run("service", "knockd", "start")

    def pid(self):
        """The pid of the service inside; "0" if it does not run."""
        if self.systemd:
            return self.run("systemctl", "show", "-p", "MainPID", "--value", "knockd").stdout.strip()
        return self.read("/run/knockd.pid").strip() or "0"

    def ledger(self):
        return self.read("/root/ledger").splitlines()

    def log(self):
        return self.read("/var/log/knockd.log")

    def logs(self):
        """The log with its rotated files, from the oldest line to the newest."""
        return self.run("sh", "-c", "cd /var/log && for log in $(ls -r knockd.log*); do case $log in"
                                    " *.gz) zcat $log ;; *) cat $log ;; esac; done").stdout

    def knocked(self, client, address, count):
        """Knocks, and waits for this many lines in the ledger."""
        senders.with_connect(client, address, "7421,3096,5518")
        wait_until(lambda: len(self.ledger()) == count, f"{count} lines in the ledger",
                   lambda: f"{self.ledger()}\n{self.log()}")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return make_package(tmp_path_factory.mktemp("package"), "UTC")


def make_package(folder, zone):
    """Of a time as reproducible-builds.org defines it."""
    run("cpack", "-G", "DEB", "-B", str(folder), cwd=os.environ["KNOCKD_BUILD"], timeout=120,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "TZ": zone})
    return next(folder.glob("knockd_*.deb"))


@pytest.fixture(params=["systemd", "init scripts"])
def init(request):
    return request.param


@pytest.fixture
def debian(init, server, tmp_path, package):
    """A Debian without the package, which is in /root."""
    debian = Machine(server, tmp_path, init == "systemd")
    debian.take(package)
    yield debian
    debian.close()


@pytest.fixture
def freshly_installed(debian):
    debian.install_by_apt()
    return debian


@pytest.fixture(scope="module")
def layers(package, tmp_path_factory):
    """layers(init): the changes that an installation makes; made once for each init system."""
    made = {}

    def installation(debian):
        debian.take(package)
        debian.install_by_apt()

    def make(init):
        if init not in made:
            folder = tmp_path_factory.mktemp("installed")
            made[init] = Layer(Machine, folder, init == "systemd", installation)
        return made[init]

    yield make
    for layer in made.values():
        layer.close()


@pytest.fixture
def installed(init, layers, server, tmp_path, package):
    """Booted after an installation."""
    debian = Machine(server, tmp_path, init == "systemd", layers(init))
    debian.package = package.name
    yield debian
    debian.close()


@pytest.fixture
def with_door(installed, server, client):
    """A Debian with a door that is open to the client."""
    def make(options=""):
        installed.write("/etc/knockd.conf", CONFIG.format(options=options))
        installed.start_for_good()
        assert "starting up" in installed.log()  # both init systems wait for that
        installed.knocked(client, server.ipv4, 1)
        return installed
    return make


def test_packets_are_read_by_a_user_who_owns_nothing(with_door):
    """While the package is installed; the user is removed with it."""
    debian = with_door()
    listeners = debian.run("ps", "--ppid", debian.pid(), "-o", "comm=,user=,group=").stdout
    assert ["knockd-listen", "_knockd", "_knockd"] in [line.split() for line in listeners.splitlines()]
    debian.run("dpkg", "--purge", "knockd")
    assert "_knockd" not in debian.read("/etc/passwd") + debian.read("/etc/group")


def test_a_fresh_installation_starts_nothing(freshly_installed):
    debian = freshly_installed
    assert debian.pid() == "0"
    assert debian.run("stat", "-c", "%a", "/etc/knockd.conf").stdout == "640\n"
    assert "configuration OK" in debian.run("knockd", "-t").stdout
    assert debian.exists("/usr/share/man/man8/knockd-firewall.8")


def test_an_unconfigured_service_does_not_report_a_start(installed):
    """With init scripts, where the setting counts; the installation still succeeds."""
    if installed.systemd:
        pytest.skip("there it is systemctl enable")
    done = installed.run("service", "knockd", "start", check=False)
    assert done.returncode == 6
    assert "set START_KNOCKD=1 in /etc/default/knockd" in done.stdout
    assert installed.pid() == "0"


def test_an_upgrade_succeeds_when_the_service_is_no_longer_configured(with_door):
    debian = with_door()
    debian.write("/etc/default/knockd", "START_KNOCKD=0\n")
    debian.install()
    assert (debian.pid() == "0") == (not debian.systemd)
    debian.run("dpkg", "--remove", "knockd")


def test_the_package_names_its_maintainer_and_installs_no_mail_server(package):
    fields = run("dpkg-deb", "--field", str(package)).stdout
    assert "root@localhost" not in fields
    assert re.search(r"^Maintainer: .+ <.+@.+>$", fields, re.M)
    # apt installs recommended packages.
    assert re.search(r"^Recommends: (.*)$", fields, re.M)[1] == "nftables"
    assert re.search(r"^Suggests: .*\blogrotate\b", fields, re.M)


def test_the_package_is_the_same_whenever_it_is_made(package, tmp_path):
    """Byte for byte; scripts/release compares whole builds."""
    assert make_package(tmp_path, "Asia/Kathmandu").read_bytes() == package.read_bytes()
    listed = run("dpkg-deb", "--contents", str(package), env={**os.environ, "TZ": "UTC"}).stdout
    assert {line.split()[3] for line in listed.splitlines()} == {"2023-11-14"}


def test_a_faulty_configuration_fails_the_start(installed):
    installed.write("/etc/knockd.conf", "[ssh]\nSequence = many\n")
    with pytest.raises(AssertionError):
        installed.start_for_good()
    if installed.systemd:
        assert "/etc/knockd.conf:2:" in installed.run("journalctl", "-u", "knockd").stdout


def test_an_upgrade_closes_open_doors_and_restarts(with_door, server, client):
    debian = with_door()
    config, pid = debian.read("/etc/knockd.conf"), debian.pid()
    debian.install()
    assert debian.pid() not in ("0", pid)
    assert debian.read("/etc/knockd.conf") == config
    assert debian.ledger() == [f"opened {client.ipv4}", f"closed {client.ipv4}"]
    debian.knocked(client, server.ipv4, 3)


def test_an_upgrade_keeps_doors_open_if_configured(with_door, client):
    debian = with_door("Shutdown = keep")
    debian.install()
    wait_until(lambda: "1 door is open since an earlier run" in debian.log(), "the new daemon",
               debian.log)
    assert debian.ledger() == [f"opened {client.ipv4}"]


def test_an_upgrade_does_not_start_a_stopped_service(with_door):
    debian = with_door()
    debian.run("service", "knockd", "stop")
    debian.install()
    assert debian.pid() == "0"


def test_removal_stops_and_keeps_the_settings(with_door, client):
    debian = with_door()
    pid = debian.pid()
    debian.run("dpkg", "--remove", "knockd")
    wait_until(lambda: not debian.exists(f"/proc/{pid}"), "the daemon has left")
    assert debian.ledger() == [f"opened {client.ipv4}", f"closed {client.ipv4}"]
    assert debian.exists("/etc/knockd.conf")
    assert not debian.exists("/usr/sbin/knockd")


def assert_closed(debian, client):
    """A removal runs the stop command again if it has not seen it end, on a busy machine."""
    opened, *closed = debian.ledger()
    assert opened == f"opened {client.ipv4}"
    assert set(closed) == {f"closed {client.ipv4}"}


@pytest.mark.parametrize("action", ["--remove", "--purge"])
def test_removal_closes_doors_even_with_shutdown_keep(with_door, client, action):
    """With Shutdown = keep they would wait for a next start that never comes."""
    debian = with_door("Shutdown = keep")
    debian.run("dpkg", action, "knockd")
    assert_closed(debian, client)
    assert debian.run("find", "/tmp", "-name", "tmp.*").stdout == ""


def test_removal_closes_doors_that_a_dead_daemon_has_left(with_door, client):
    """With the service's own configuration file, and its own start command."""
    debian = with_door("Shutdown = keep")
    debian.run("service", "knockd", "stop")
    config = CONFIG.format(options="Shutdown = keep\nStateFile = /root/open\n"
                                   "On_Start = echo started >>/root/ledger\n"
                                   "On_Stop = echo stopped >>/root/ledger")
    debian.write("/etc/other.conf", config)
    debian.run("mv", "/var/lib/knockd/open-doors", "/root/open")
    debian.write("/etc/default/knockd", 'KNOCKD_OPTS="-v -c /etc/other.conf -i eth0"\n')
    debian.run("dpkg", "--remove", "knockd")
    assert_closed(debian, client)


@pytest.mark.parametrize("options", ["-vc /etc/other.conf", "-v --conf /etc/other.conf -i eth0"])
def test_removal_finds_the_configuration_in_any_form_of_the_option(with_door, client, options):
    debian = with_door("Shutdown = keep")
    debian.run("service", "knockd", "stop")
    debian.write("/etc/other.conf", CONFIG.format(options="Shutdown = keep\nStateFile = /root/open"))
    debian.run("mv", "/var/lib/knockd/open-doors", "/root/open")
    debian.write("/etc/default/knockd", f'KNOCKD_OPTS="{options}"\n')
    debian.run("dpkg", "--remove", "knockd")
    assert_closed(debian, client)


@pytest.mark.parametrize("options", ["", "StateFile = /root/open\n"])
def test_removal_closes_doors_with_a_changed_configuration(with_door, client, options):
    debian = with_door("Shutdown = keep\n" + options)
    debian.write("/etc/knockd.conf", f"[options]\n{options}[ssh]\nSequence = many\n")
    debian.run("dpkg", "--remove", "knockd")
    assert_closed(debian, client)


def test_removal_retries_doors_that_could_not_be_closed_in_time(with_door, server, client):
    debian = with_door("Shutdown = keep\n[slow]\nSequence = 7000:udp\nStart_Command = true\n"
                       "Cmd_Timeout = 600\nStop_Command = mkdir /root/tried && sleep 60;"
                       " echo slow >>/root/ledger")
    senders.with_nc(client, server.ipv4, "7000:udp")
    wait_until(lambda: "slow: running command" in debian.log(), "the second door", debian.log)
    debian.run("dpkg", "--remove", "knockd")
    assert sorted(set(debian.ledger())) == [f"closed {client.ipv4}", f"opened {client.ipv4}", "slow"]


@pytest.mark.parametrize("left, init", [("group", "systemd"), ("user", "init scripts")])
def test_an_existing_user_or_group_is_used(debian, left):
    """Another package of knockd may leave it behind."""
    debian.run("groupadd", "--system", "_knockd")
    if left == "user":
        debian.run("useradd", "--system", "--gid", "nogroup", "_knockd")
        debian.run("groupdel", "_knockd")
    debian.install_by_apt()
    for database in ("passwd", "group"):
        assert debian.run("getent", database, "_knockd").stdout.startswith("_knockd:")
    debian.run("dpkg", "--purge", "knockd")
    assert "_knockd" not in debian.read("/etc/passwd") + debian.read("/etc/group")


def test_purging_leaves_nothing(with_door):
    """Also of what the administrator has enabled."""
    debian = with_door()
    if debian.exists("/run/systemd/system"):
        debian.run("systemctl", "enable", "knockd-shut")
    debian.run("dpkg", "--purge", "knockd")
    left = debian.run("find", "/etc", "/usr", "/var", "-not", "-path", "/var/cache/*", "-not",
                      "-path", "/var/log/knockd.log", "-name", "*knockd*").stdout
    assert left == ""


def test_debians_own_package_is_replaced(debian, server, client):
    """0.8 runs with its settings; afterwards ours runs with them."""
    debian.run("apt-get", "-q", "install", "-y", "knockd", timeout=120)
    assert debian.run("knockd", "-V").stdout.startswith("knockd 0.8\n")
    debian.write("/etc/knockd.conf", CONFIG.format(options=""))
    debian.start_for_good()
    wait_until(lambda: "starting up" in debian.log(), "0.8 listens", debian.log)
    debian.install_by_apt("-o", "Dpkg::Options::=--force-confold")
    assert not debian.run("knockd", "-V").stdout.startswith("knockd 0.8\n")
    wait_until(lambda: debian.log().count("starting up") == 2, "ours listens", debian.log)
    assert debian.read("/etc/knockd.conf") == CONFIG.format(options="")
    assert debian.pid() != "0"
    debian.knocked(client, server.ipv4, 1)
    if debian.systemd:
        assert debian.run("systemctl", "is-enabled", "knockd").stdout == "enabled\n"
        assert "/usr/sbin/knockd" in debian.run("systemctl", "cat", "knockd").stdout


@pytest.mark.parametrize("init", ["systemd"])
def test_systemd_reloads_restarts_and_ends_no_command(with_door, server, client):
    debian = with_door("[bell]\nSequence = 7000:udp\nCommand = exec sleep 1234567")
    senders.with_nc(client, server.ipv4, "7000:udp")
    wait_until(lambda: "bell: running command" in debian.log(), "a command that goes on", debian.log)

    pid = debian.pid()
    debian.run("systemctl", "reload", "knockd")
    wait_until(lambda: "re-reading config file" in debian.log(), "the reload", debian.log)
    assert debian.pid() == pid

    debian.run("kill", "-KILL", pid)
    wait_until(lambda: "1 door is open since an earlier run" in debian.log(), "the next daemon",
               debian.log, deadline=30)
    assert debian.pid() not in ("0", pid)

    debian.write("/etc/default/knockd", 'KNOCKD_OPTS="-i lo"\n')
    debian.run("systemctl", "restart", "knockd")
    wait_until(lambda: "listening on lo\n" in debian.log(), "the option", debian.log)
    assert debian.ledger() == [f"opened {client.ipv4}", f"closed {client.ipv4}"]
    assert "1234567" in debian.run("ps", "-eo", "args").stdout


@pytest.mark.parametrize("init", ["systemd"])
def test_a_reload_of_a_faulty_configuration_fails_and_changes_nothing(with_door, server, client):
    debian = with_door()
    good, pid = debian.read("/etc/knockd.conf"), debian.pid()
    debian.write("/etc/knockd.conf", good + "Sequence = many\n")
    assert debian.run("systemctl", "reload", "knockd", check=False).returncode != 0
    line = good.count("\n") + 1
    assert f"/etc/knockd.conf:{line}:" in debian.run("journalctl", "-u", "knockd").stdout
    debian.knocked(client, server.ipv4, 2)
    debian.write("/etc/knockd.conf", good)
    debian.run("systemctl", "reload", "knockd")
    wait_until(lambda: "re-reading config file" in debian.log(), "the reload", debian.log)
    assert debian.log().count("re-reading config file") == 1
    assert debian.pid() == pid


@pytest.mark.parametrize("init", ["systemd"])
def test_a_start_with_a_faulty_configuration_closes_overdue_doors(with_door, server, client):
    """Here the starts after a crash, which systemd repeats every five seconds."""
    debian = with_door("[short]\nSequence = 7000:udp\nStart_Command = true\nCmd_Timeout = 12\n"
                       "Stop_Command = echo short >>/root/ledger")
    # Nothing closes it while the daemon is stopped.
    senders.with_nc(client, server.ipv4, "7000:udp")
    wait_until(lambda: "short: running command" in debian.log(), "the short door", debian.log)
    debian.run("kill", "-STOP", debian.pid())
    assert "short" not in debian.ledger()
    debian.write("/etc/knockd.conf", debian.read("/etc/knockd.conf") + "Sequence = many\n")
    debian.run("kill", "-KILL", debian.pid())
    wait_until(lambda: "short" in debian.ledger(), "the closed door",
               lambda: debian.run("journalctl", "-u", "knockd").stdout, deadline=60)


def test_a_rotated_log_loses_nothing(with_door, server, client):
    """The system's logrotate rotates three times during knocks: each knock is heard, and logged in
    one of the files."""
    # Without a command, of which only 64 may wait.
    debian = with_door("Log_Rate = 0\n[u]\nSequence = 7000:udp")
    storm = Storm(client, server)
    sent = []

    def knock():
        sent.append(source(len(sent) + 1))
        storm.knock(sent[-1], 7000)

    for _ in range(3):
        rotation = debian.start("logrotate", "-f", "/etc/logrotate.d/knockd")
        repeat_until(knock, lambda: rotation.poll() is not None, "the end of the rotation")
        assert rotation.returncode == 0
        repeat_until(knock, lambda: "OPEN SESAME" in debian.log(), "a line in the new file",
                     debian.log)
    storm.close()
    wait_until(lambda: f"{sent[-1]}: u: OPEN SESAME" in debian.log(), "the last line", debian.log)
    assert re.findall(r"(\S+): u: OPEN SESAME", debian.logs()) == sent
    held = debian.run("sh", "-c", f"ls -l /proc/{debian.pid()}/fd").stdout
    assert "/var/log/knockd.log\n" in held and "knockd.log.1" not in held


# --- Doors without a shell


@pytest.fixture
def with_new_door(installed, server, client, knock_binary):
    """A Debian without any firewall, with a door from new-door. knock() knocks at it."""
    server.serve(22)
    assert client.reaches(server.ipv4, 22)
    # After its own settings, because the last one wins.
    installed.run("sh", "-c", "knockd-firewall new-door ssh 22 >>/etc/knockd.conf &&"
                              " printf '[options]\\nLogFile = /var/log/knockd.log\\nUseSyslog = no\\n'"
                              " >>/etc/knockd.conf")
    installed.start_for_good()

    def knock():
        knocks = re.search(r"# From elsewhere: knock HOST (.*)", installed.read("/etc/knockd.conf"))[1]
        client.run(knock_binary, server.ipv4, *knocks.split())
        wait_until(lambda: f"ssh: opened tcp 22 to {client.ipv4} for 3600 s" in installed.log(),
                   "the open door", installed.log)

    installed.knock = knock
    return installed


def shut_once_more(debian):
    """What the boot runs before the network is up."""
    if debian.systemd:
        return debian.run("systemctl", "restart", "knockd-shut", check=False)
    return debian.run("service", "knockd-shut", "start", check=False)


def test_a_new_door_is_shut_and_a_knock_opens_it(with_new_door, server, client, stranger):
    assert not client.reaches(server.ipv4, 22)
    with_new_door.knock()
    assert client.reaches(server.ipv4, 22)
    assert not stranger.reaches(server.ipv4, 22)


def test_the_boot_shuts_before_the_daemon_runs(with_new_door, server, client):
    debian = with_new_door
    debian.run("service", "knockd", "stop")
    assert not client.reaches(server.ipv4, 22), "the table stays"
    debian.run("nft", "flush", "ruleset")
    assert client.reaches(server.ipv4, 22)
    assert shut_once_more(debian).returncode == 0
    assert not client.reaches(server.ipv4, 22)
    debian.run("service", "knockd", "start")
    debian.knock()
    assert client.reaches(server.ipv4, 22)


@pytest.mark.parametrize("init", ["systemd"])
def test_the_unit_runs_before_the_network_and_after_services_that_flush(with_new_door):
    """Even if the network's own units are asked for at the same time."""
    shown = with_new_door.run("systemctl", "show", "-p", "After,Before,ActiveState,Result",
                              "knockd-shut").stdout
    after = re.search("^After=(.*)$", shown, re.M)[1].split()
    assert {"nftables.service", "netfilter-persistent.service", "ufw.service"} <= set(after)
    assert not any(name.startswith(("network", "sysinit", "basic")) for name in after), after
    assert "network-pre.target" in re.search("^Before=(.*)$", shown, re.M)[1].split()
    assert "ActiveState=active\nResult=success" in shown or "Result=success" in shown
    verified = with_new_door.run("systemd-analyze", "verify", "--man=no", "default.target",
                                 check=False).stdout
    assert "ordering cycle" not in verified


@pytest.mark.parametrize("init", ["init scripts"])
def test_the_script_runs_before_the_network(with_new_door):
    assert with_new_door.run("sh", "-c", "ls /etc/rcS.d").stdout.count("knockd-shut") == 1


def test_the_boot_changes_nothing_without_doors_with_open(with_door):
    debian = with_door()
    debian.run("service", "knockd", "stop")
    assert shut_once_more(debian).returncode == 0
    assert debian.run("nft", "list", "tables").stdout == ""


def test_an_upgrade_keeps_the_ports_shut(with_new_door, server, client):
    with_new_door.install()
    assert not client.reaches(server.ipv4, 22)
    assert with_new_door.pid() != "0"


@pytest.mark.parametrize("action", ["--remove", "--purge"])
def test_removal_opens_the_ports_again_and_reports_it(with_new_door, server, client, action):
    said = with_new_door.run("dpkg", action, "knockd").stdout
    assert "port 22 is no longer shut\n" in said
    assert with_new_door.run("nft", "list", "tables").stdout == ""
    assert client.reaches(server.ipv4, 22)


@pytest.mark.parametrize("init", ["systemd"])
def test_the_keeper_can_be_an_ordinary_user(with_new_door, server, client, stranger):
    """With the drop-in and the commands that it shows."""
    debian = with_new_door
    path = "/usr/share/doc/knockd/unprivileged.conf"
    shown = debian.read(path).split("As root:\n#\n")[1].split("#\n# The log")[0]
    debian.run("sh", "-ec", "sed -i '/LogFile/d; s/UseSyslog = no/UseSyslog/' /etc/knockd.conf;"
                            f" cd {path.rpartition('/')[0]}\n" + shown.replace("#", " "))
    pid = debian.pid()
    assert debian.run("ps", "-p", pid, "-o", "user=").stdout.strip().startswith("knockd-")
    status = debian.read(f"/proc/{pid}/status")
    assert re.search(r"^CapEff:\t0+3000$", status, re.M), status  # CAP_NET_ADMIN, CAP_NET_RAW
    assert not client.reaches(server.ipv4, 22)
    knocks = re.search(r"# From elsewhere: knock HOST (.*)", debian.read("/etc/knockd.conf"))[1]
    senders.with_knock(client, server.ipv4, ",".join(knocks.split()), os.environ["KNOCK_BINARY"])
    wait_until(lambda: client.reaches(server.ipv4, 22), "the open door",
               lambda: debian.run("journalctl", "-u", "knockd").stdout)
    assert not stranger.reaches(server.ipv4, 22)
    # Root and that user use the same socket, without naming it.
    for user in ("root", "knockd-keeper"):
        said = debian.run("setpriv", f"--reuid={user}", "--clear-groups", "knockd", "--status").stdout
        assert re.search(rf"ssh +{client.ipv4} +since ", said), said
    assert debian.run("stat", "-c", "%U %a", "/run/knockd/control").stdout == "knockd-keeper 600\n"
    assert "1 opening closed" in debian.run("knockd", "--close", client.ipv4).stdout
    wait_until(lambda: not client.reaches(server.ipv4, 22), "the closed door")
    debian.run("systemctl", "stop", "knockd")
    debian.run("nft", "flush", "ruleset")
    assert shut_once_more(debian).returncode == 0
    assert not client.reaches(server.ipv4, 22)


README = (TREE / "README.md").read_text()


def quick_start():
    """The commands that README shows for the server."""
    section = README.split("## Quick start\n")[1].split("\n## ")[0]
    commands = re.findall(r"^    (.*)$", section, re.MULTILINE)
    return [command for command in commands if not command.startswith("knock ")]


@pytest.mark.parametrize("init", ["systemd"])
def test_quick_start_gives_a_running_door(debian, server, client, stranger, knock_binary):
    """Installed and started with the unchanged commands of README; then the client knocks from its
    host."""
    server.serve(22)
    debian.run("mkdir", "-p", "/root/build/release")
    debian.run("mv", f"/root/{debian.package}", "/root/build/release")
    # Replaces the administrator, who answers yes.
    debian.write("/etc/apt/apt.conf.d/yes", 'APT::Get::Assume-Yes "true";\n')
    install = re.search(r"^\| Debian 12 \|.*&& (apt install [^`]*)`", README, re.MULTILINE)[1]
    commands = quick_start()
    assert len(commands) == 3
    for command in [install, *commands]:
        debian.run("sh", "-c", f"cd /root && {command}", timeout=120)
    assert not client.reaches(server.ipv4, 22)
    knocks = re.search(r"# From elsewhere: knock HOST (.*)", debian.read("/etc/knockd.conf"))[1]
    done = client.run(knock_binary, "--check", "22", server.ipv4, *knocks.split())
    assert "opened after" in done.stdout
    assert client.reaches(server.ipv4, 22, timeout=2)
    assert not stranger.reaches(server.ipv4, 22)
