# SPDX-License-Identifier: MIT
"""The init script with the real daemon on a host of the test network."""

import os
import signal

import pytest

from waiting import wait_until


class Service:
    """The script, with its files in the test's own folder. `options` go into KNOCKD_OPTS."""

    def __init__(self, server, shell, script, knockd, folder):
        self._server = server
        self._argv = [*shell, script]
        self.pid_file = folder / "knockd.pid"
        self.log = folder / "log"
        self.config = folder / "knockd.conf"
        self.config.write_text(f"""
            [options]
            LogFile = {self.log}
            StateFile = {folder}/open-doors
            Control = {folder}/control
            [ssh]
            sequence = 7000,8000,9000
            command = true
            """)
        self.config.chmod(0o600)
        self.settings = folder / "settings"
        self.set(START_KNOCKD="1", KNOCKD_OPTS=f"-i eth0 -c {self.config}")
        self.environment = {**os.environ, "KNOCKD_PROGRAM": str(knockd),
                             "KNOCKD_PID_FILE": str(self.pid_file),
                             "KNOCKD_SETTINGS": str(self.settings)}

    def set(self, **settings):
        self.settings.write_text("".join(f'{name}="{v}"\n' for name, v in settings.items()))

    def __call__(self, action):
        """Its exit status and its output."""
        done = self._server.run(*self._argv, action, check=False, env=self.environment)
        return done.returncode, done.stdout.strip()

    def pid(self):
        return int(self.pid_file.read_text())


@pytest.fixture
def service(server, shell, installed_to_read, knockd, tmp_path):
    return Service(server, shell, installed_to_read / "etc/init.d/knockd", knockd, tmp_path)


def test_life_of_the_service(service):
    assert service("status") == (3, "knockd is not running")
    assert service("start") == (0, "knockd is started")
    pid = service.pid()
    assert service("status") == (0, f"knockd is running (pid {pid})")
    assert service("start") == (0, "knockd is running already")
    assert service.pid() == pid
    assert service("stop") == (0, "knockd is stopped")
    assert service("stop") == (0, "knockd is not running")
    assert service("status") == (3, "knockd is not running")


def test_restart_gives_another_process(service):
    service("start")
    pid = service.pid()
    assert service("restart") == (0, "knockd is stopped\nknockd is started")
    assert service.pid() != pid


def test_reload_keeps_the_process_and_reads_the_configuration(service):
    service("start")
    pid = service.pid()
    assert service("reload")[0] == 0
    wait_until(lambda: "re-reading config file" in service.log.read_text(), "the reload")
    assert service.pid() == pid


@pytest.mark.parametrize("action", ["reload", "force-reload"])
def test_reload_of_a_faulty_configuration_fails_and_changes_nothing(service, action):
    service("start")
    pid = service.pid()
    service.config.write_text("[ssh]\nsequence = many\n")
    status, said = service(action)
    assert status == 1 and f"{service.config}:2:" in said
    assert service("status") == (0, f"knockd is running (pid {pid})")
    assert "re-reading" not in service.log.read_text()


def test_force_reload_starts_a_stopped_daemon(service):
    assert service("force-reload") == (0, "knockd is started")


def test_reload_fails_without_a_daemon(service):
    assert service("reload") == (7, "knockd is not running")


def test_nothing_is_started_unless_configured(service, server):
    service.set(START_KNOCKD="0")
    status, said = service("start")
    assert status == 6 and f"set START_KNOCKD=1 in {service.settings}" in said
    assert server.processes() == []


def test_a_faulty_configuration_fails_the_start_and_is_reported(service):
    service.config.write_text("[ssh]\nsequence = many\n")
    status, said = service("start")
    assert status != 0 and f"{service.config}:2:" in said


def test_a_crash_is_noticed_and_a_start_repairs_it(service):
    service("start")
    pid = service.pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the daemon")
    assert service("status")[0] == 1
    assert service("start") == (0, "knockd is started")


def test_another_program_with_the_pid_of_a_dead_daemon_is_left_alone(service, server):
    stranger = server.start("sleep", "1000")
    service.pid_file.write_text(f"{stranger.pid}\n")
    assert service("stop") == (0, "knockd is not running")
    assert stranger.poll() is None


def test_an_unknown_action_is_refused(service):
    status, said = service("dance")
    assert status == 2 and said.startswith("usage:")


@pytest.fixture
def boot(server, shell, installed_to_read, service):
    """The script that shuts ports at boot, with the same settings: its status and its output."""
    def call(action):
        done = server.run(*shell, installed_to_read / "etc/init.d/knockd-shut", action, check=False,
                          env=service.environment)
        return done.returncode, done.stdout.strip()

    service.config.write_text(service.config.read_text() + "open = 22\n")
    return call


def test_the_boot_shuts_the_ports_of_doors(server, client, service, boot):
    server.serve(22)
    service.set(START_KNOCKD="0", KNOCKD_OPTS=f"-i eth0 -c {service.config}")
    assert boot("start") == (0, "")
    assert client.reaches(server.ipv4, 22), "what is not wanted shuts nothing"
    service.set(START_KNOCKD="1", KNOCKD_OPTS=f"-i eth0 -c {service.config}")
    for action in ("start", "restart"):
        assert boot(action) == (0, "")
        assert not client.reaches(server.ipv4, 22)
    assert boot("stop") == (0, "")
    assert not client.reaches(server.ipv4, 22)
    service.config.write_text("nonsense\n" + service.config.read_text())
    status, said = boot("restart")
    assert status == 1 and f"{service.config}:1:" in said
    assert not client.reaches(server.ipv4, 22)


def test_the_boot_script_accepts_no_other_action(boot):
    status, said = boot("dance")
    assert status == 2 and said.startswith("usage:")
