# SPDX-License-Identifier: MIT
"""Doors with secrets: which codes open them, which never do, and what is reported. oathtool
computes the codes. scripts/codes runs the long forms of the slow tests."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import time

import pytest
from scapy.layers.inet import TCP

import codes
from codes import COMPUTED, FIXED, TYPED, Knocks, Users, computed, door, plain, typed
from daemon import Daemon, Ledger
from network import run
from small_disk import fill, tmpfs  # noqa: F401: fixture
from test_control import Following
from test_fresh_listeners import WARNING, in_other_root
from waiting import wait_until
from wall_clock import WallClock

TEST_SECONDS = 150

USED = "it, or a later one, was used before"
AHEAD = "one of a later time was used, when the clock was ahead"
A, B, C = "198.51.100.1", "198.51.100.2", "198.51.100.3"
A6, B6 = "2001:db8::a", "2001:db8::b"


@pytest.fixture
def users(tmp_path):
    return Users(tmp_path / "secrets", "alice", "bob")


@pytest.fixture(scope="module")
def any_clock(tmp_path_factory):
    return WallClock(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def clock(any_clock):
    """The wall clock of the daemons: a step has just begun, or each test would have to wait for one."""
    any_clock.set(codes.seconds_to(codes.STEP))
    return any_clock


@pytest.fixture
def begin(start, ledger, frames, frames6, clock):
    """begin(text, *arguments): a daemon with these doors and a plain one, and its knockers. Its clock
    is the machine's if it has another prefix."""
    def begin_with(text, *arguments, prefix=None):
        daemon = start("[options]\nLog_Rate = 0\n" + text + plain(), *arguments,
                       prefix=clock.as_set() if prefix is None else prefix)
        return Knocks(daemon, ledger, frames, frames6, clock.now if prefix is None else time.time)

    return begin_with


def restart(knocks, begin, text, how=signal.SIGTERM, **options):
    knocks.daemon.send(how)
    knocks.daemon.wait_for_end()
    return begin(text, **options)


# --- Codes that open -------------------------------------------------------------------------------

KINDS = pytest.mark.parametrize("sequence, ports_of", [(COMPUTED, computed), (TYPED, typed)],
                                ids=["computed", "typed"])


@KINDS
def test_codes_of_three_steps_open(begin, ledger, users, sequence, ports_of):
    knocks = begin(door(ledger, "door", users, sequence), "-D")
    step = knocks.step()
    for away, name in [(-1, " for the step before"), (0, ""), (1, " for the next step")]:
        alices, bobs = f"198.51.100.{10 + away}", f"198.51.100.{20 + away}"
        knocks.opens(ports_of(users["alice"], step + away), alices, "alice")
        knocks.opens(ports_of(users["bob"], step + away), bobs, "bob")
        assert f"{alices}: door: code of alice{name}, accepted" in knocks.daemon.output()
        lines = knocks.daemon.lines()
        opened = lines.index(f"{alices}: door: OPEN SESAME")
        assert lines[opened - 1] == f"{alices}: door: knock of alice"


def test_over_ipv6_other_codes_open(begin, ledger, users):
    knocks = begin(door(ledger, "door", users))
    step = knocks.step()
    for away, source in [(-1, "2001:db8::a1"), (0, "2001:db8::a2"), (1, "2001:db8::a3")]:
        knocks.opens(computed(users["alice"], step + away, 6), source, "alice")
    knocks.stays_shut(computed(users["bob"], step, 4), A6)
    # An eavesdropper on an IPv4-only network must not get a valid one.
    knocks.stays_shut(computed(users["bob"], step - 1, 6), A)
    knocks.stays_shut(computed(users["bob"], step - 1, 6), A6, USED)
    # A browser knocks over both families if the name has both.
    knocks.opens(computed(users["bob"], step, 6), B6, "bob")
    knocks.opens(computed(users["bob"], step, 4), B, "bob")


def test_typed_codes_are_the_same_over_ipv6_and_used_up_only_for_it(begin, ledger, users):
    knocks = begin(door(ledger, "door", users, TYPED))
    ports = typed(users["alice"], knocks.step())
    knocks.opens(ports, A6, "alice")
    knocks.opens(ports, A, "alice")
    knocks.stays_shut(ports, B, USED)
    knocks.stays_shut(ports, B6, USED)
    # An eavesdropper on IPv4.
    ports = typed(users["bob"], knocks.step())
    knocks.opens(ports, A, "bob")
    knocks.stays_shut(ports, B6, USED)


@pytest.mark.parametrize("places", [3, 4])
def test_six_digits_and_three_computed_places(begin, ledger, tmp_path, places):
    users = Users(tmp_path / "secrets", "alice")
    sequences = (",".join([str(FIXED), *["totp"] * places]),
                 ",".join(["7100", *[f"{400 + n}xx" for n in range(places)]]))
    knocks = begin(door(ledger, "computed", users, sequences[0])
                   + door(ledger, "typed", Users(tmp_path / "others", "bob"), sequences[1]))
    bob = pathlib.Path(tmp_path / "others").read_text().split()[1]
    step = knocks.step()
    knocks.opens(computed(users["alice"], step, places=places), A, "alice", "computed")
    knocks.opens(typed(bob, step, range(400, 400 + places)), B, "bob", "typed", fixed=7100)


def test_places_first_between_and_last(begin, ledger, users, tmp_path):
    knocks = begin(door(ledger, "first", users, "totp,totp,totp,7000")
                   + door(ledger, "between", Users(tmp_path / "others", "carol"),
                          "7100,totp,7200,totp,totp,7300:udp"))
    carol = (tmp_path / "others").read_text().split()[1]
    step = knocks.step()
    knocks.opens([*computed(users["alice"], step, places=3), 7000], A, "alice", "first", fixed=0)
    one, two, three = computed(carol, step, places=3)
    frames = knocks._frames[4]
    frames.knock(f"7100,{one},7200,{two},{three},7300:udp", source=B)
    ledger.wait_for(f"open between carol {B}", also_found=knocks.daemon.report)


def test_a_step_that_changes_during_a_knock(begin, ledger, users):
    """By the machine's own clock."""
    knocks = begin(door(ledger, "door", users, COMPUTED, "seq_timeout = 40"), prefix=[])
    step = knocks.step()
    before, now = computed(users["alice"], step - 1), computed(users["bob"], step)
    knocks.send(before[:2], A)
    knocks.send(now[:3], B)
    codes.wait_for_next_step()
    # The listener has the codes of the new step once the keeper has sent them.
    knocks.settle()
    knocks.send(now[3:], B, fixed=0)
    ledger.wait_for(f"open door bob {B}", also_found=knocks.daemon.report)
    knocks.stays_shut(before, C)
    knocks.send(before[2:], A, fixed=0)
    knocks.settle()
    assert knocks.sesames(A) == 0


def test_the_client_of_three_lines_of_shell(begin, ledger, users, client, server, knock_binary):
    """With oathtool and Debian's or our client."""
    knocks = begin(door(ledger, "door", users), prefix=[])
    knocks.step()
    client.run("sh", "-c", f"""
        i=0; c=$(( (1<<40) + 8*($(date +%s)/30) )); p={FIXED}
        while [ $i -lt 4 ]; do p="$p $((10081 + 1$(oathtool --hotp -b -d 8 -c $((c+i)) $SECRET) % 100000000 % 55455))"; i=$((i+1)); done
        exec {knock_binary} {server.ipv4} $p""", env={**os.environ, "SECRET": users["bob"]})
    ledger.wait_for(f"open door bob {client.ipv4}", also_found=knocks.daemon.report)


# --- Codes that do not -----------------------------------------------------------------------------

@KINDS
def test_codes_of_other_times_do_not_open(begin, ledger, users, sequence, ports_of):
    knocks = begin(door(ledger, "door", users, sequence))
    step = knocks.step(10)
    # The step before last is unknown; the step after the next is known, and refused.
    knocks.stays_shut(ports_of(users["alice"], step + 2), B, "it is of another time")
    for away in (-2, 3):
        knocks.stays_shut(ports_of(users["alice"], step + away), A)


@KINDS
def test_a_used_code_opens_for_no_other_source(begin, ledger, users, sequence, ports_of):
    knocks = begin(door(ledger, "door", users, sequence))
    step = knocks.step(10)
    for _ in range(3):
        knocks.opens(ports_of(users["alice"], step), A, "alice")  # packets get lost
    knocks.stays_shut(ports_of(users["alice"], step), B, USED)
    knocks.stays_shut(ports_of(users["alice"], step - 1), B, USED)
    knocks.stays_shut(ports_of(users["alice"], step - 1), A, USED)
    knocks.opens(ports_of(users["alice"], step + 1), A, "alice")
    knocks.stays_shut(ports_of(users["alice"], step), A, USED)
    knocks.opens(ports_of(users["bob"], step), B, "bob")


@pytest.mark.parametrize("first, second", [(COMPUTED, COMPUTED), (TYPED, TYPED), (COMPUTED, TYPED),
                                           (TYPED, COMPUTED)],
                         ids=["computed", "typed", "typed after computed", "computed after typed"])
def test_a_code_is_used_up_for_all_doors_and_files_that_hold_the_secret(begin, ledger, users, tmp_path,
                                                                       first, second):
    copy = Users(tmp_path / "copy", "someone")
    copy.secrets = {"someone": users["alice"].lower() + "======"}
    copy.write()
    other = re.sub("^7000", "7100", second)
    knocks = begin(door(ledger, "one", users, first) + door(ledger, "two", users, other)
                   + door(ledger, "three", copy, re.sub("^7000", "7200", second)))
    step = knocks.step(10)
    kinds = {COMPUTED: computed, TYPED: typed}
    knocks.opens(kinds[first](users["alice"], step), A, "alice", "one")
    knocks.stays_shut(kinds[second](users["alice"], step), B, USED, fixed=7100)
    knocks.stays_shut(kinds[second](users["alice"], step), B, USED, fixed=7200)
    knocks.opens(kinds[second](users["alice"], step + 1), B, "someone", "three", fixed=7200)
    knocks.stays_shut(kinds[second](users["alice"], step + 1), C, USED, fixed=7100)


@KINDS
def test_codes_are_never_mixed(begin, ledger, users, sequence, ports_of):
    knocks = begin(door(ledger, "door", users, sequence))
    step = knocks.step(10)
    alice, bob = ports_of(users["alice"], step), ports_of(users["bob"], step)
    before = ports_of(users["alice"], step - 1)
    knocks.stays_shut(alice[:2] + bob[2:], A)
    knocks.stays_shut(before[:1] + alice[1:], B)
    knocks.opens(bob, C, "bob")


@KINDS
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_used_codes_stay_used_after_a_restart(begin, ledger, users, sequence, ports_of, how):
    text = door(ledger, "door", users, sequence)
    knocks = begin(text)
    step = knocks.step(12)
    knocks.opens(ports_of(users["alice"], step), A, "alice")
    knocks = restart(knocks, begin, text, how)
    knocks.stays_shut(ports_of(users["alice"], step), B, USED)
    knocks.opens(ports_of(users["alice"], step), A, "alice")
    knocks.opens(ports_of(users["bob"], step), B, "bob")


# --- Typed codes -----------------------------------------------------------------------------------

TOO_MANY = "door: 3 wrong codes, no typed code is taken before the next step"


def never_first(users, step):
    """A port of the first hundred that no code begins with."""
    taken = {typed(secret, step + away)[0] for secret in users.secrets.values()
             for away in range(-2, 4)}
    return next(port for port in range(40000, 40100) if port not in taken)


def test_three_wrong_codes_block_all_codes_of_this_step(begin, ledger, users, tmp_path, clock):
    others = Users(tmp_path / "others", "carol")
    text = door(ledger, "door", users, TYPED) + door(ledger, "computed", others,
                                                     "7100,totp,totp,totp,totp")
    knocks = begin(text)
    step = knocks.step(20)
    knocks.opens(typed(users["bob"], step), C, "bob")  # known from now on
    wrong = never_first(users, step)
    for number in range(6):
        knocks.send([wrong], f"198.51.100.{100 + number}")
    knocks.settle()
    assert knocks.daemon.matching(re.escape(TOO_MANY)) == [TOO_MANY]
    alice = typed(users["alice"], step)
    knocks.stays_shut(alice, A, "too many wrong codes in this step")
    knocks.opens(typed(users["bob"], step + 1), C, "bob")
    knocks.opens(computed(others["carol"], step), A, "carol", "computed", fixed=7100)
    # Known sources are kept over a restart.
    knocks = restart(knocks, begin, text, signal.SIGKILL)
    for number in range(3):
        knocks.send([wrong], f"198.51.100.{100 + number}")
    knocks.stays_shut(alice, A, "too many wrong codes in this step")
    knocks.opens(alice, C, "alice")

    # The last seconds of the same step.
    clock.set(clock.ahead + codes.seconds_to(4, knocks.now))
    reload(knocks.daemon)
    now = codes.wait_for_next_step(knocks.now)
    # An attempt in the first moment of a step may count for the step before, because a listener's
    # messages arrive a little later.
    wait_until(lambda: knocks.now() % codes.STEP > 0.5, "half a second of the step")
    knocks.opens(typed(users["alice"], now), A, "alice")
    assert knocks.daemon.matching(re.escape(TOO_MANY)) == [TOO_MANY]


@pytest.mark.parametrize("place", range(4))
def test_every_port_of_the_hundreds_counts_and_ends_the_attempt(begin, ledger, users, place):
    knocks = begin(door(ledger, "door", users, TYPED))
    step = knocks.step(10)
    right = typed(users["alice"], step)
    taken = {typed(secret, step + away)[place] for secret in users.secrets.values()
             for away in range(-2, 4)}
    wrong = next(port for port in range(40000 + 100 * place, 40100 + 100 * place)
                 if port not in taken)
    # A wrong port at its place; correct ones after it do not help. A port of another place is wrong
    # too.
    knocks.send(right[:place] + [wrong] + right[place:], A)
    knocks.send([right[1], *right], B)
    knocks.settle()
    assert not knocks.sesames(A) and not knocks.sesames(B)
    knocks.opens(right, A, "alice")
    knocks.send([*right[:1], 40399 if right[3] != 40399 else 40398], C)
    knocks.send([*right[:1], 40399 if right[3] != 40399 else 40398], C)
    knocks.settle()
    assert TOO_MANY in knocks.daemon.lines()


def test_a_scan_of_computed_places_is_not_a_wrong_code(begin, ledger, users):
    knocks = begin(door(ledger, "door", users))
    step = knocks.step(10)
    for number in range(5):
        knocks.send([20000 + number], f"198.51.100.{100 + number}")
    knocks.opens(computed(users["alice"], step), A, "alice")
    assert not knocks.daemon.matching(".*wrong codes.*")


# --- What is told ----------------------------------------------------------------------------------

def test_status_and_events_name_the_user(begin, ledger, users, server, knockd, tmp_path):
    control = tmp_path / "control" / "socket"
    knocks = begin(f"Control = {control}\n" + door(
        ledger, "door", users, COMPUTED, "cmd_timeout = 600", "stop_command = :")
        .replace("\ncommand", "\nstart_command"))
    follower = Following([knockd, "--control", control, "--events"])
    try:
        step = knocks.step()

        def asked(*arguments):
            return run(knockd, "--control", control, *arguments).stdout

        knocks.opens(computed(users["alice"], step), A, "alice")
        knocks.stays_shut(computed(users["alice"], step), B, USED)
        wait_until(lambda: json.loads(asked("--status=json"))["openings"], "an opening")
        status = json.loads(asked("--status=json"))
        assert status["openings"][0]["user"] == "alice", status
        assert "alice" in asked("--status")
        told = wait_until(lambda: [event for event in follower.events if event.get("user")],
                          "an event with a user", lambda: str(follower.events))
        assert told[0]["user"] == "alice", told
        wait_until(lambda: any(USED in json.dumps(event) for event in follower.events),
                   "the refusal", lambda: str(follower.events))
    finally:
        follower.end()


# --- Secrets stay where they are -------------------------------------------------------------------

def forms_of(secret):
    """The byte forms in which a secret could be found."""
    raw = bytes.fromhex(run("oathtool", "-v", "-b", "--hotp", secret).stdout.split("Hex secret: ")[1]
                        .split()[0])
    return [secret.encode(), secret.lower().encode(), raw, raw.hex().encode()]


def memory_of(pid):
    """The readable memory of a process, region by region."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            begin, end, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if rights.startswith("r"):
                with contextlib.suppress(OSError, OverflowError):  # the kernel's own pages
                    mem.seek(int(begin, 16))
                    yield mem.read(int(end, 16) - int(begin, 16))


def found_in(regions, users):
    wanted = [form for secret in users.secrets.values() for form in forms_of(secret)]
    return [form for region in regions for form in wanted if form in region]


def test_secrets_are_only_in_the_memory_of_the_keeper(begin, ledger, users, server, knockd, tmp_path):
    control = tmp_path / "control" / "socket"
    others = Users(tmp_path / "others", "carol", "dave")
    knocks = begin(f"Control = {control}\n" + door(ledger, "door", users)
                   + door(ledger, "typed", others, TYPED.replace("7000", "7100")), "-D")
    step = knocks.step(15)
    knocks.opens(computed(users["alice"], step), A, "alice")
    knocks.opens(typed(others["carol"], step), A, "carol", "typed", fixed=7100)
    knocks.stays_shut(computed(users["alice"], step), B, USED)
    knocks.daemon.send(signal.SIGHUP)
    knocks.daemon.wait_for("re-reading config file.*")
    knocks.settle()
    everybody = Users.__new__(Users)
    everybody.secrets = {**users.secrets, **others.secrets}

    listeners = server.pids_of("knockd-listen")
    assert len(listeners) == 1
    # Checks the test itself: the keeper has them, as bytes.
    assert found_in(memory_of(knocks.daemon.pid), everybody)
    assert not found_in(memory_of(listeners[0]), everybody)

    texts = [knocks.daemon.log_file.read_bytes(), knocks.daemon.output_file.read_bytes()]
    texts += [run(knockd, "--control", control, f"--status={form}").stdout.encode()
              for form in ("json", "table", "prometheus")]
    texts += [run(knockd, "--control", control, "--status").stdout.encode()]
    texts += [path.read_bytes() for path in tmp_path.glob("open-doors*")]
    assert len(texts) >= 8
    assert not found_in(texts, everybody)
    for pid in (knocks.daemon.pid, *listeners):
        for name in ("cmdline", "environ"):
            assert not found_in([pathlib.Path(f"/proc/{pid}/{name}").read_bytes()], everybody)


def test_the_text_of_the_file_is_wiped_from_the_keepers_memory(begin, ledger, users):
    knocks = begin(door(ledger, "door", users))
    in_base32 = [secret.encode() for secret in users.secrets.values()]
    assert not [text for region in memory_of(knocks.daemon.pid) for text in in_base32
                if text in region]


@pytest.mark.parametrize("arguments", [["-l"], []], ids=["who looks up names", "forked listener"])
def test_no_secret_is_in_a_forked_child(begin, ledger, users, server, tmp_path, arguments):
    """The resolver process, and listeners where the program cannot be re-executed."""
    root = tmp_path / "root"
    root.mkdir()
    knocks = begin(door(ledger, "door", users), *arguments,
                   prefix=[] if arguments else in_other_root(root, "/dev", "/tmp"))
    assert (WARNING in knocks.daemon.output()) == (not arguments)
    name = "knockd-lookup" if arguments else "knockd-listen"
    child = wait_until(lambda: server.pids_of(name), name)[0]
    assert not found_in(memory_of(child), users)
    knocks.opens(computed(users["alice"], knocks.step()), A, "alice")


def is_dumpable(pid):
    """In /proc a process that is not dumpable belongs to root, whoever runs it."""
    return pathlib.Path(f"/proc/{pid}/status").stat().st_uid != 0


USER = 61236


def as_user(folder):
    """A prefix of the daemon's command line: an ordinary user with the one capability that it
    needs."""
    return ["sh", "-c", f'chown -R {USER}:{USER} "$0"; exec "$@"', folder, "setpriv",
            f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=-all,+net_raw",
            "--ambient-caps=-all,+net_raw", "env"]


@pytest.fixture
def folder(public_folder, knockd):
    shutil.copy(knockd, public_folder / "knockd")
    (public_folder / "knockd").chmod(0o755)
    return public_folder


@pytest.mark.parametrize("has_secrets", [True, False])
def test_an_ordinary_users_keeper_with_secrets_is_not_dumpable(server, folder, frames, has_secrets):
    """It still works: its listeners start and restart, and it reloads its configuration."""
    ledger = codes_ledger(folder)
    users = Users(folder / "secrets", "alice")
    text = plain() + f"[options]\nStateFile = {folder}/state/open-doors\n"
    with_door = text + door(ledger, "door", users)
    (folder / "state").mkdir()
    daemon = Daemon(server, folder / "knockd", folder / "run", with_door if has_secrets else text,
                    prefix=as_user(folder))
    assert is_dumpable(daemon.pid) == (not has_secrets)
    knocks = Knocks(daemon, ledger, frames)
    if not has_secrets:
        daemon.config_file.write_text(with_door)
        daemon.send(signal.SIGHUP)
        wait_until(lambda: not is_dumpable(daemon.pid), "it is not dumpable any more", daemon.report)
    step = codes.step_now()
    wait_until(lambda: server.pids_of("knockd-listen"), "a listener")
    repeat_opens(knocks, computed(users["alice"], step), A, "alice")
    os.kill(server.pids_of("knockd-listen")[0], signal.SIGKILL)
    daemon.wait_for(".*(ended|died|killed|starting|again).*")
    repeat_opens(knocks, computed(users["alice"], step), A, "alice")
    assert daemon.stop() == 0


def codes_ledger(folder):
    ledger = Ledger(folder / "ledger")
    ledger.path.chmod(0o666)
    return ledger


def repeat_opens(knocks, ports, source, user):
    """Repeats while a new listener may not listen yet; the same address may repeat a code."""
    before = knocks.sesames(source)

    def knock():
        knocks.send(ports, source)
        return knocks.sesames(source) > before

    wait_until(knock, f"{user} opens the door", knocks.daemon.report)


def test_there_is_no_core_dump(server, knockd, tmp_path, ledger, users):
    text = f"[options]\nStateFile = {tmp_path}/open-doors\n" + door(ledger, "door", users)
    unlimited = ["prlimit", "--core=unlimited:unlimited"]
    daemon = Daemon(server, knockd, tmp_path / "run", text, prefix=unlimited)
    assert "Max core file size        unlimited" in pathlib.Path(f"/proc/{daemon.pid}/limits").read_text()
    daemon.send(signal.SIGABRT)
    status = os.waitid(os.P_PID, daemon.pid, os.WEXITED | os.WNOWAIT)
    assert status.si_code == os.CLD_KILLED, "not CLD_DUMPED"
    assert daemon.wait_for_end() == -signal.SIGABRT
    assert not list((tmp_path / "run").glob("*core*"))


# --- Files of secrets ------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_file_that_others_may_use_is_refused(start, ledger, users, mode):
    users.path.chmod(mode)
    daemon = start(door(ledger, "door", users), listens=False)
    assert daemon.wait_for_end() == 1
    assert f"others than its owner may use it (mode {mode:04o}): expected 0600" in daemon.output()
    assert daemon.output().count("expected 0600") == 1


def reload(daemon):
    count = len(daemon.matching("re-reading config file: .*"))
    daemon.send(signal.SIGHUP)
    daemon.wait_for("re-reading config file: .*", count + 1)
    # A listener that has answered has handled earlier messages, which packets could otherwise
    # overtake.
    answers = len(daemon.matching("status: up .*"))
    daemon.send(signal.SIGUSR1)
    daemon.wait_for("status: up .*", answers + 1)


FAULTY = "the configuration is faulty, the old one stays in force"


def test_a_reload_with_a_file_that_others_may_use_keeps_the_old_one(begin, ledger, users):
    knocks = begin(door(ledger, "door", users))
    bob = users.secrets.pop("bob")
    users.write()
    users.path.chmod(0o644)
    reload(knocks.daemon)
    knocks.daemon.wait_for(FAULTY)
    assert len(knocks.daemon.matching(".*expected 0600")) == 1
    step = knocks.step()
    knocks.opens(computed(bob, step), A, "bob")
    knocks.opens(computed(users["alice"], step), A, "alice")


def test_a_reload_adds_and_removes_users_at_once(begin, ledger, users, server):
    knocks = begin(door(ledger, "door", users))
    listeners = server.pids_of("knockd-listen")
    step = knocks.step(15)
    bob, carol = users.secrets.pop("bob"), users.secrets.setdefault("carol", codes.draw())
    knocks.stays_shut(computed(carol, step), C)
    knocks.send(computed(users["alice"], step)[:3], B)
    users.write()
    reload(knocks.daemon)
    knocks.settle()
    knocks.stays_shut(computed(bob, step), A)
    knocks.opens(computed(carol, step), C, "carol")
    # A knock in progress continues with the current codes.
    knocks.send(computed(users["alice"], step)[3:], B, fixed=0)
    ledger.wait_for(f"open door alice {B}", also_found=knocks.daemon.report)
    # A new user in the first line does not take over another one's codes.
    users.secrets = {"zoe": bob, **users.secrets}
    users.write()
    reload(knocks.daemon)
    knocks.settle()
    knocks.opens(computed(carol, step + 1), C, "carol")
    knocks.opens(computed(bob, step), A, "zoe")
    assert server.pids_of("knockd-listen") == listeners


# --- Used codes on disk ----------------------------------------------------------------------------

def test_no_code_opens_while_the_disk_is_full(begin, ledger, users, tmpfs):
    knocks = begin(f"StateFile = {tmpfs}/open-doors\n" + door(ledger, "door", users))
    filler = fill(tmpfs)  # the file of codes has no page yet
    step = knocks.step(15)
    alice = computed(users["alice"], step)
    for number in (1, 2):
        knocks.send(alice, A)
        knocks.settle()  # a plain door
        told = knocks.daemon.matching("door: .*")
        assert len(told) == number
        assert re.fullmatch("door: the code cannot be marked as used: .*: No space left on device; "
                            "the door stays closed", told[-1]), told
    assert ledger.lines() == []
    filler.unlink()
    knocks.opens(alice, A, "alice")
    knocks.stays_shut(alice, B, USED)
    knocks.opens(computed(users["bob"], step), B, "bob")


def test_no_code_opens_on_a_read_only_file_system(begin, ledger, users, tmpfs):
    """Until it is writable; plain doors still open."""
    text = f"StateFile = {tmpfs}/open-doors\n" + door(ledger, "door", users)
    run("mount", "-o", "remount,ro", str(tmpfs))
    knocks = begin(text)
    knocks.daemon.wait_for("used codes cannot be kept: .*codes: .*Read-only file system; doors with "
                           "secrets stay closed until they can")
    step = knocks.step(15)
    alice = computed(users["alice"], step)
    knocks.send(alice, A)
    knocks.settle()  # a plain door
    knocks.daemon.wait_for("door: the code cannot be marked as used: .*Read-only.*; the door stays "
                           "closed")
    assert ledger.lines() == []
    run("mount", "-o", "remount,rw", str(tmpfs))
    knocks.opens(alice, A, "alice")
    knocks.stays_shut(alice, B, USED)


def codes_file(tmp_path):
    return tmp_path / "open-doors.codes"


@pytest.mark.parametrize("make, why", [
    (lambda path: path.mkdir(), "Is a directory"),
    (lambda path: path.symlink_to("/etc/hosts"), "is a symbolic link; it must be a file"),
    (os.mkfifo, "is not a regular file"),
    (lambda path: (path.touch(), path.chmod(0o622)), "can be written by others .*"),
], ids=["folder", "link", "pipe", "others"])
def test_an_unusable_file_of_codes_keeps_the_doors_shut(begin, ledger, users, tmp_path, make, why):
    make(codes_file(tmp_path))
    knocks = begin(door(ledger, "door", users))
    knocks.daemon.wait_for(f"used codes cannot be kept: .*codes: .*{why}.*; doors with secrets stay "
                           "closed until they can")
    knocks.send(computed(users["alice"], knocks.step()), A)
    knocks.settle()
    assert ledger.lines() == []


def test_a_damaged_file_of_codes_is_reported_and_the_rest_counts(begin, ledger, users, tmp_path):
    text = door(ledger, "door", users)
    knocks = begin(text)
    step = knocks.step(15)
    knocks.opens(computed(users["alice"], step), A, "alice")
    knocks.opens(computed(users["bob"], step), A, "bob")
    knocks.daemon.send(signal.SIGKILL)
    knocks.daemon.wait_for_end()
    lines = codes_file(tmp_path).read_text().splitlines(keepends=True)
    assert len(lines) == 2
    lines[0] = lines[0].replace("used", "nsed")
    codes_file(tmp_path).write_text("".join(lines) + "12345678 used 12")
    knocks = begin(text)
    knocks.daemon.wait_for(".*codes: 1 line damaged and left out")
    knocks.stays_shut(computed(users["bob"], step), B, USED)


def test_two_daemons_never_share_used_codes(begin, ledger, users):
    text = door(ledger, "door", users)
    begin(text)
    second = begin(text)
    second.daemon.wait_for("used codes cannot be kept: .*codes: is in use by another knockd; each needs "
                           "a StateFile of its own; doors with secrets stay closed until they can")


# --- Time ------------------------------------------------------------------------------------------

HOUR = 3600


@KINDS
@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
def test_a_clock_set_back_makes_no_used_code_valid(begin, ledger, users, clock, sequence, ports_of,
                                                   restarts):
    text = door(ledger, "door", users, sequence)
    knocks = begin(text)
    step = knocks.step(15)
    knocks.opens(ports_of(users["alice"], step), A, "alice")
    clock.set(clock.ahead - HOUR)
    if restarts:
        knocks = restart(knocks, begin, text)
    else:
        reload(knocks.daemon)
        knocks.settle()
    then = step - HOUR // codes.STEP
    # A code sniffed an hour ago, from a user that has knocked since.
    knocks.stays_shut(ports_of(users["alice"], then), B, AHEAD)
    knocks.stays_shut(ports_of(users["alice"], then), A, AHEAD)
    knocks.stays_shut(ports_of(users["alice"], step), B)
    # The doors use the current time.
    knocks.opens(ports_of(users["bob"], then), B, "bob")
    clock.set(clock.ahead + HOUR)
    reload(knocks.daemon)
    knocks.settle()
    knocks.stays_shut(ports_of(users["alice"], step), B, USED)
    knocks.opens(ports_of(users["alice"], step + 1), A, "alice")


# --- Knocks at doors that are open -----------------------------------------------------------------

def stateful(ledger, name, users, sequence, *more):
    return door(ledger, name, users, sequence, "cmd_timeout = 600", "stop_command = :",
                *more).replace("\ncommand", "\nstart_command")


@pytest.mark.parametrize("reknock", ["extend", "ignore"])
@KINDS
def test_a_code_is_used_up_at_a_door_that_is_open_already(begin, ledger, users, sequence, ports_of,
                                                         reknock):
    text = stateful(ledger, "door", users, sequence, f"reknock = {reknock}")
    knocks = begin(text)
    step = knocks.step(15)
    knocks.opens(ports_of(users["alice"], step), A, "alice")
    knocks.send(ports_of(users["alice"], step + 1), A)
    knocks.settle()
    assert knocks.daemon.matching(f"{A}: door: already open.*")
    knocks.stays_shut(ports_of(users["alice"], step + 1), B, USED)
    knocks = restart(knocks, begin, text, signal.SIGKILL)
    knocks.stays_shut(ports_of(users["alice"], step + 1), C, USED)


@pytest.mark.parametrize("directive", ["max_open = 1", "seq_cooldown = 60"])
def test_a_code_is_used_up_where_the_door_does_not_open_for_it(begin, ledger, users, tmp_path,
                                                               directive):
    """Otherwise an eavesdropper would get in before the user once there is room again."""
    knocks = begin(stateful(ledger, "door", users, COMPUTED, directive)
                   + door(ledger, "other", users, COMPUTED.replace("7000", "7100")))
    step = knocks.step(15)
    knocks.opens(computed(users["bob"], step), C, "bob")
    alice = computed(users["alice"], step)
    knocks.send(alice, A)
    knocks.settle()
    assert not knocks.sesames(A), "the door is full, or cooling down"
    knocks.stays_shut(alice, B, USED, fixed=7100)
    knocks.opens(alice, A, "alice", "other", fixed=7100)


# --- Odd ones --------------------------------------------------------------------------------------

def test_sixteen_doors_of_twenty_users_each(begin, ledger, tmp_path):
    files = [Users(tmp_path / f"secrets{n}", *(f"user{m}" for m in range(20))) for n in range(16)]
    knocks = begin("".join(door(ledger, f"door{n}", file, f"{7000 + n},totp,totp,totp,totp")
                           for n, file in enumerate(files)))
    step = knocks.step(10)
    for n, file in enumerate(files):
        name = f"user{n}"
        knocks.opens(computed(file[name], step), A, name, f"door{n}", fixed=7000 + n)


def test_a_thousand_users(begin, ledger, tmp_path, clock):
    clock.set(codes.seconds_to(6))
    users = Users(tmp_path / "secrets", *(f"user{n}" for n in range(1000)))
    knocks = begin(door(ledger, "door", users))
    for number in (0, 500, 999):
        knocks.opens(computed(users[f"user{number}"], knocks.step(0)), A, f"user{number}")
    step = codes.wait_for_next_step(knocks.now)
    knocks.opens(computed(users["user1"], step), A, "user1")
    users.secrets["more"] = codes.draw()
    users.write()
    reload(knocks.daemon)
    knocks.daemon.wait_for(".*:1001: expected at most 1000 users")


def test_more_users_than_the_limit(start, ledger, tmp_path):
    users = Users(tmp_path / "secrets", *(f"user{n}" for n in range(1000)))
    daemon = start("".join(door(ledger, f"door{n}", users, f"{7000 + n},totp,totp,totp,totp")
                           for n in range(21)), listens=False)
    assert daemon.wait_for_end() == 1
    assert ("Secrets: 21000 users of all doors up to this one: expected at most 20000"
            in daemon.output())


def test_a_file_that_is_replaced_all_the_time(begin, ledger, users):
    """Each reload sees the complete old or new file, however programs write it."""
    knocks = begin(door(ledger, "door", users))
    step = knocks.step(15)
    for number in range(20):
        users.secrets["bob"] = codes.draw()
        new = Users.__new__(Users)
        new.path, new.secrets = users.path.with_suffix(".new"), users.secrets
        new.write()
        new.path.rename(users.path)
        knocks.daemon.send(signal.SIGHUP)
    knocks.daemon.wait_for("re-reading config file.*")
    reload(knocks.daemon)
    knocks.settle()
    knocks.opens(computed(users["bob"], step), A, "bob")
    assert not knocks.daemon.matching(FAULTY)


def send_at_once(knocks, ports, count, before_packet=lambda number: None):
    """This many complete knocks from A, all sent within a moment. `before_packet` is called with the
    number of each packet."""
    wire_frames = [bytes(knocks._frames[4].frame(TCP(sport=40000 + n, dport=port, seq=n, flags="S"),
                                                 source=A))
                   for n in range(count) for port in [FIXED, *ports]]
    with knocks._frames[4].client.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0))
        for number, frame in enumerate(wire_frames):
            before_packet(number)
            wire.send(frame)


def test_a_used_code_at_full_rate_from_its_address(begin, ledger, users, tmp_path):
    """Packets get lost, so repeating is allowed; it causes no write, and others get in."""
    knocks = begin(stateful(ledger, "door", users, COMPUTED))
    step = knocks.step(12)
    alice = computed(users["alice"], step)
    knocks.opens(alice, A, "alice")
    before = codes_file(tmp_path).read_bytes()
    send_at_once(knocks, alice, 50)
    repeat_opens(knocks, computed(users["bob"], step), B, "bob")
    after = codes_file(tmp_path).read_bytes()
    assert after.startswith(before) and after.count(b"\n") == before.count(b"\n") + 1


def test_a_used_code_at_full_rate_leaves_others_a_place(begin, ledger, users, tmp_path):
    """Although its first command still runs: others find places in the queue."""
    busy = tmp_path / "busy"
    busy.touch()
    text = door(ledger, "door", users).replace(
        str(ledger.path), f"{ledger.path}; while [ $KNOCKD_USER = alice -a -e {busy} ]; do sleep 0.1; done")
    knocks = begin(text)
    step = knocks.step(12)
    alice = computed(users["alice"], step)
    knocks.opens(alice, A, "alice")
    send_at_once(knocks, alice, 100)
    knocks.daemon.wait_for("door: 1 knock refused: too many commands of one source wait")
    repeat_opens(knocks, computed(users["bob"], step), B, "bob")
    busy.unlink()
    ledger.wait_for(f"open door alice {A}", 17, also_found=knocks.daemon.report)


def test_a_used_code_at_full_rate_does_not_fill_the_door(begin, ledger, users):
    """Although each other knock would run the command again (Reknock = run)."""
    knocks = begin(stateful(ledger, "door", users, COMPUTED, "max_open = 3"))
    step = knocks.step(12)
    alice = computed(users["alice"], step)
    knocks.opens(alice, A, "alice")
    send_at_once(knocks, alice, 100)
    knocks.daemon.wait_for(f"{A}: door: already open, time extended")
    repeat_opens(knocks, computed(users["bob"], step), B, "bob")
    assert ledger.lines().count(f"open door alice {A}") == 1


def test_knocks_at_the_change_of_a_step(begin, ledger, users, clock):
    """In each of the last and first moments of a step."""
    clock.set(codes.seconds_to(4))
    knocks = begin(door(ledger, "door", users))
    step = knocks.step(2)
    ports = {away: computed(users["alice"], step + away) for away in (0, 1, 2)}
    end = (step + 1) * codes.STEP
    wait_until(lambda: knocks.now() > end - 0.5, "the end of the step", deadline=35)
    opened = 0
    while knocks.now() < end + 1 or opened < 6:
        opened += 1
        knocks.opens(ports[0], A, "alice")
    knocks.opens(ports[1], A, "alice")
    knocks.opens(ports[2], A, "alice")


def test_no_knock_is_lost_to_a_reload(begin, ledger, tmp_path):
    """For reloads without changes, such as after log rotation."""
    users = Users(tmp_path / "secrets", *(f"user{n}" for n in range(200)))
    knocks = begin(door(ledger, "door", users))
    step = knocks.step(20)
    alice = computed(users["user7"], step)
    knocks.opens(alice, A, "user7")
    # Complete knocks arrive while it reloads.
    def reload_at_times(number):
        if number % 10 == 0:
            knocks.daemon.send(signal.SIGHUP)

    send_at_once(knocks, alice, 16, reload_at_times)  # of one source 16 commands may wait
    knocks.daemon.wait_for(f"{A}: door: OPEN SESAME", 17)
