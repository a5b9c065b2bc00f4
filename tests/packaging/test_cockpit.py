# SPDX-License-Identifier: MIT
"""The page of Cockpit: knocks at a real daemon, seen and closed in a headless Chromium, in a session of
cockpit-ws."""

import itertools
import json
import os
import pathlib
import re
import signal

import pytest

import codes
from cockpit import Cockpit
from daemon import Daemon
from fixtures import TREE
from hostile import hostile_status
from network import OWN_MOUNTS, run
from nftables import elements
from readable import FAULTS
from waiting import wait_until

KNOCK = "7000,8000,9000"
DOOR = f"""
[ssh]
Sequence = {KNOCK}
TCPFlags = syn
Open     = 22
Open_For = 10m
"""


@pytest.fixture
def control(tmp_path):
    return tmp_path / "control" / "socket"


@pytest.fixture
def start(server, knockd, tmp_path, control):
    """start(doors) runs a daemon with a control socket."""
    numbers = iter(range(100))

    def begin(doors=DOOR, arguments=(), **options):
        return Daemon(server, knockd, tmp_path / f"run{next(numbers)}",
                      f"[options]\nControl = {control}\n{doors}", *arguments, **options)

    return begin


@pytest.fixture
def look(server, build, knockd, control, tmp_path):
    """look() opens the page, which runs `command` as knockd."""
    opened = []

    def begin(command=knockd):
        opened.append(Cockpit(server, tmp_path / "cockpit", build, command, control))
        return opened[-1]

    yield begin
    for one in opened:
        complaints = one.browser.complaints()
        one.close()
        assert complaints == []


PICTURED = DOOR + """
[vpn]
Sequence = 7421,3096:udp,5518
TCPFlags = syn
Open     = 51820:udp
Open_For = 8h
Open_Prefix = 24 64

[web]
Sequence = totp,totp,totp,totp
TCPFlags = syn,!ack
Secrets  = {secrets}
Open     = 443
Open_For = 1h
"""


@pytest.fixture
def pictured(server, start, look, frames, tmp_path):
    """The page, with some open doors and some failures."""
    users = codes.Users(tmp_path / "secrets", "alice", "bob")
    # It reads its file as /etc/knockd.conf, in place of the real one.
    overlay = f"mount -t overlay none -o lowerdir={tmp_path}/run0:/etc /etc"
    start(PICTURED.format(secrets=users.path), arguments=("-c", "/etc/knockd.conf"),
          prefix=(*OWN_MOUNTS, "sh", "-ec", f'{overlay}; exec "$@"', "sh"))
    page = look()
    page.knockd("--open", "vpn", "203.0.113.80")
    frames.knock(list(map(str, codes.computed(users["alice"], codes.step_now()))), source="198.51.100.17")
    frames.knock(KNOCK)
    frames.knock("7000,8000,7000", source="198.51.100.9")
    frames.knock("7421,3096:udp,7421", source="203.0.113.80")
    page.wait_for_rows("openings", 3)
    page.wait_for_rows("attempts", 2)
    return page


def left(page, row=0):
    """The seconds left, parsed from the text of a row."""
    shown = page.rows("openings")[row]["left"]
    minutes, seconds = shown.split(":")
    return 60 * int(minutes) + int(seconds)


def wait_until_counted_down(page):
    before = left(page)
    page.wait_for(lambda: left(page) < before, f"less than {before} s left")


def test_a_knock_appears_counts_down_and_is_closed(start, look, frames, server, client):
    server.serve(22)
    start(DOOR)
    page = look()
    page.wait_for(lambda: page.visible("#overview .none"), "nobody is in")
    assert not page.visible("#openings")

    frames.knock(KNOCK)
    [row] = page.wait_for_rows("openings", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row.pop("since"))
    assert re.fullmatch("10:00|9:5.", row.pop("left"))
    assert row == {"door": "ssh", "who": client.ipv4, "user": "", "interface": "eth0", "button": "Close"}
    assert page.browser.text("#overview .count") == "1" and not page.visible("#overview .none")
    assert client.reaches(server.ipv4, 22)
    # The same row is updated: a button keeps its focus, and a click hits its target.
    page.browser.evaluate("document.querySelector('#openings button').focus()")
    wait_until_counted_down(page)
    assert page.browser.evaluate("document.activeElement.textContent") == "Close"

    page.close_row(0)
    page.wait_for(lambda: page.said("#said") == "1 opening closed", "it is said that it is closed")
    page.wait_for_rows("openings", 0)
    assert elements(server, "allowed4") == {} and not client.reaches(server.ipv4, 22)
    asked = page.asked()
    assert asked.count(["--close", "--door=ssh", client.ipv4]) == 1
    assert {tuple(words) for words in asked if words[0] != "--close"} == {("--status=json",)}
    assert page.rights() == {"try"}

    # A row disappears by itself when its time is over.
    page.knockd("--open", "ssh", client.ipv4, "2s")
    page.wait_for_rows("openings", 1)
    page.wait_for_rows("openings", 0)


def test_the_time_left_is_that_of_the_last_answer(start, look):
    start(DOOR)
    page = look()
    page.knockd("--open", "ssh", "192.0.2.77")
    page.wait_for_rows("openings", 1)

    def seconds_left():
        return json.loads(page.knockd("--status=json").stdout)["openings"][0]["left"]

    page.wait_for(lambda: seconds_left() < 595, "some answers")
    # The earlier display cannot show less.
    assert left(page) > seconds_left() - 0.5


def test_a_failed_close_is_shown(start, look, frames):
    """Another user has closed it first: the page still shows it, because the daemon does not answer
    meanwhile."""
    daemon = start(DOOR)
    page = look()
    frames.knock(KNOCK)
    page.wait_for_rows("openings", 1)
    daemon.send(signal.SIGSTOP)
    asked = len(page.asked())
    page.wait_for(lambda: len(page.asked()) > asked, "a question that has no answer")
    # The countdown continues, and no second request is sent before the first is answered.
    wait_until_counted_down(page)
    wait_until_counted_down(page)
    assert page.asked()[asked:] == [["--status=json"]]
    page.close_row(0)
    page.wait_for(lambda: page.disabled_buttons() == 1, "Close waits")
    wait_until(lambda: len(page.asked()) == asked + 2, "it is asked to close")
    daemon.send(signal.SIGKILL)
    page.wait_for(lambda: page.said("#said") == "knockd is not running", "what became of it")


def test_a_refused_close_is_shown(start, look, frames, server):
    """The status is outdated: the row is still shown while another user closes its opening."""
    start(DOOR)
    page = look()
    frames.knock(KNOCK)
    page.wait_for_rows("openings", 1)
    # The page stops asking, as while it is hidden.
    page.browser.evaluate("Object.defineProperty(cockpit, 'hidden', {value: true})")
    page.wait_for(lambda: not page.browser.evaluate("page.is_asking"), "the last answer")
    page.knockd("--close", "ssh")
    page.close_row(0)
    page.wait_for(lambda: page.said("#said") == "nothing was open there", "it is said")
    page.wait_for(lambda: page.disabled_buttons() == 0, "Close can be pressed again")
    asked = len(page.asked())
    wait_until_counted_down(page)
    wait_until_counted_down(page)
    assert len(page.asked()) == asked


def test_the_end_of_the_daemon_is_shown_and_the_next_one_found(start, look, frames):
    page = look()
    page.wait_for(lambda: page.said("#trouble") == "knockd is not running", "that nobody answers")
    assert not page.visible("#overview") and not page.visible("#doors")
    first = start(DOOR)
    frames.knock(KNOCK)
    page.wait_for_rows("openings", 1)
    assert page.visible("#openings") and not page.visible("#trouble")
    first.stop()
    page.wait_for(lambda: page.said("#trouble") == "knockd is not running", "the end")
    assert not page.visible("#overview") and not page.visible("#doors")
    start(DOOR)
    page.wait_for(lambda: page.visible("#overview"), "the next daemon")
    assert page.said("#trouble") == ""


def test_an_unreadable_answer_is_reported_and_the_next_one_shown(start, look, tmp_path, knockd):
    """An answer that a daemon of another version may give."""
    start(DOOR)
    instead = tmp_path / "instead"
    instead.write_text('{"doors":[null],"openings":[]}')
    script = tmp_path / "knockd"
    script.write_text(f'#!/bin/sh\ncat {instead} 2>/dev/null || exec {knockd} "$@"\n')
    script.chmod(0o755)
    page = look(script)
    page.wait_for(lambda: page.said("#trouble") == "knockd gave an answer that cannot be read", "it is said")
    instead.unlink()
    page.wait_for(lambda: page.visible("#overview") and page.said("#trouble") == "", "the next answer")


def test_a_thousand_doors(start, look, frames):
    """All are listed, a filter finds one, and the page continues meanwhile."""
    start("".join(f"[door-{number}]\nSequence = {10000 + number},7000,8000\nTCPFlags = syn\n"
                  "Start_Command = true\nStop_Command = true\nCmd_Timeout = 600\n"
                  for number in range(1000)))
    page = look()
    page.wait_for(lambda: page.visible("#overview"), "an answer")
    page.go_to("doors")
    doors = page.wait_for_rows("all-doors", 1000)
    assert [door["door"] for door in doors] == [f"door-{number}" for number in range(1000)]
    assert page.browser.text("#doors .count") == "1000"
    page.type("DOOR-77")
    found = page.wait_for_rows("all-doors", 11)
    assert [door["door"] for door in found] == ["door-77"] + [f"door-77{digit}" for digit in range(10)]
    assert page.browser.text("#doors .count") == "11 of 1000"
    frames.knock("10777,7000,8000")
    frames.knock("10777,7000,10777")
    page.wait_for(lambda: page.rows("all-doors")[8]["wrong"] == "1", "the wrong knock is counted")
    assert page.rows("all-doors")[8] == {
        "door": "door-777", "user": "", "open": "1", "begun": "3", "opened": "1", "timed_out": "0",
        "wrong": "1", "discarded": "0", "refused": "0", "commands_failed": "0"}
    page.type("")
    page.wait_for_rows("all-doors", 1000)

    page.go_to("overview")
    assert [row["door"] for row in page.wait_for_rows("openings", 1)] == ["door-777"]
    [attempt] = page.wait_for_rows("attempts", 1)
    assert attempt["reason"] == "wrong knock tcp 10777, expected tcp 8000"
    page.type("nobody")
    page.wait_for_rows("openings", 0)
    page.wait_for_rows("attempts", 0)


HOSTILE = ["<img src=x onerror=document.title='!'>", "all", "192.0.2.2", "--help", "a %s $& b",
           "--door=all", "</td><script>document.title='!'</script>", "\u202egnp.exe", "w" * 200]


def test_names_are_text_and_close_what_they_name(start, look):
    """Any name of a door is shown unchanged, and Close closes only that door."""
    start("".join(f"[{name}]\nSequence = {7000 + number},8000,9000\nTCPFlags = syn\n"
                  "Start_Command = true\nStop_Command = true\nCmd_Timeout = 600\n"
                  for number, name in enumerate(HOSTILE)))
    page = look()
    for name in HOSTILE:
        page.knockd("--open", f"--door={name}", "192.0.2.2")
    assert [row["door"] for row in page.wait_for_rows("openings", len(HOSTILE))] == HOSTILE
    page.go_to("doors")
    page.wait_for(lambda: page.visible("#doors"), "the doors")
    assert [row["door"] for row in page.rows("all-doors")] == HOSTILE
    for place, width in itertools.product(("doors", "overview"), (390, 1000)):
        page.go_to(place)
        page.emulate("light", width)
        page.wait_for(lambda place=place: page.visible(f"#{place}"), place)
        assert page.browser.evaluate(FAULTS) == []
    there = list(HOSTILE)
    for name in HOSTILE[::2] + HOSTILE[1::2]:
        page.close_row(there.index(name))
        there.remove(name)
        shown = [row["door"] for row in page.wait_for_rows("openings", len(there))]
        assert shown == there and page.said("#said") == "1 opening closed"
    assert page.browser.evaluate("document.title") == "Port knocking"
    assert page.browser.evaluate("document.images.length") == 0


def test_every_text_of_a_status_is_text(look, tmp_path):
    """Not only the names that a knockd lets through."""
    text = HOSTILE[0]
    script = tmp_path / "knockd"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{hostile_status(text)}\nEND\n")
    script.chmod(0o755)
    page = look(script)
    [row] = page.wait_for_rows("openings", 1)
    assert (row["door"], row["who"], row["user"], row["left"]) == (text, text, text, "closing")
    assert page.browser.text("#summary").count(text) == 2
    for table in ("interfaces", "attempts"):
        assert text in page.rows(table)[0].values()
    assert page.browser.evaluate("document.images.length") == 0


def test_interfaces_losses_the_clock_and_the_file(start, look, server):
    daemon = start(DOOR, interface="eth0,eth7")
    page = look()
    eth0, eth7 = page.wait_for_rows("interfaces", 2)
    assert (eth0["interface"], eth0["state"], eth0["lost"]) == ("eth0", "listening", "0")
    assert eth0["addresses"] == f"{server.ipv4}, {server.ipv6}"
    assert eth7["interface"] == "eth7" and "eth7 does not exist" in eth7["state"]
    summary = dict(page.browser.evaluate(
        "[...document.querySelectorAll('dl div')].map(pair => [...pair.children].map(each => each.textContent))"))
    assert summary["Packets lost"] == "0" and summary["Clock"] in ("in sync", "not in sync")
    assert "knockd.conf, read at " in summary["Configuration"]
    assert summary["Commands"] == "0 running, 0 waiting"
    page.go_to("doors")
    page.wait_for(lambda: page.browser.text("#config-file") == str(daemon.config_file), "the file")


def test_a_user_without_permission_sees_the_reason(start, look, public_folder, knockd):
    """A session without root's privileges, of a user outside Control_Group."""
    start(DOOR)
    copied = public_folder / "knockd"
    copied.write_bytes(knockd.read_bytes())
    copied.chmod(0o755)
    page = look(f"setpriv --reuid=nobody --regid=nogroup --clear-groups {copied}")
    page.wait_for(lambda: page.said("#trouble").endswith(
        ": only the user that knockd runs as and the members of Control_Group may ask"), "why not")
    page.remove_knockd()
    page.wait_for(lambda: page.said("#trouble") == "knockd is not installed", "what is missing")


def test_the_page_is_readable(pictured):
    """Light and dark, wide and narrow; including messages and failures."""
    pictured.browser.evaluate("say('said', 'x'.repeat(200))")
    for scheme, color in [("light", "rgb(240, 240, 240)"), ("dark", "rgb(15, 18, 20)")]:
        for width, place in itertools.product([1000, 390], ["doors", "overview"]):
            pictured.emulate(scheme, width)
            pictured.go_to(place)
            pictured.wait_for(lambda place=place: pictured.visible(f"#{place}"), place)
            # The next answer hides it.
            pictured.browser.evaluate("say('trouble', 'y '.repeat(200))")
            assert pictured.browser.evaluate(FAULTS) == []
            assert pictured.browser.evaluate("getComputedStyle(document.body).backgroundColor") == color
    # The setting in Cockpit's shell wins over the browser's preference.
    pictured.emulate("light", 1000)
    for style, is_dark in [("dark", True), ("light", False), ("auto", False)]:
        pictured.browser.evaluate("window.dispatchEvent(new CustomEvent('cockpit-style',"
                                  f" {{detail: {{style: '{style}'}}}}))")
        assert pictured.is_dark() == is_dark
    pictured.browser.evaluate("localStorage.setItem('shell:style', 'dark')")
    pictured.load()
    assert pictured.is_dark()


def test_cockpit_lists_the_page_and_no_other_script_runs(look):
    page = look()
    policy = page.policy()
    own = "'self' http://127.0.0.1:9090"  # as Cockpit completes it
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", own, own)
    page.load("/cockpit/@localhost/manifests.json")
    manifests = json.loads(page.browser.text("body"))
    assert manifests["knockd"]["tools"]["index"]["label"] == "Port knocking"


def test_the_page_is_valid():
    page = TREE / "packaging/cockpit"
    done = run("tidy", "-q", "-e", "--drop-empty-elements", "no", page / "index.html", check=False)
    assert (done.returncode, done.stdout) == (0, "")
    run("appstreamcli", "validate", "--no-net", page / "invalid.knockd.cockpit.metainfo.xml")


def test_only_the_package_of_cockpit_contains_the_page(build, tmp_path):
    run("cpack", "-G", "DEB", "--config", "CPackCockpit.cmake", "-B", tmp_path, cwd=build, timeout=60)
    [package] = tmp_path.glob("*.deb")
    assert package.name.startswith("knockd-cockpit_") and package.name.endswith("_all.deb")
    files = re.findall(r"\./(\S*[^/\s])$", run("dpkg-deb", "-c", package).stdout, re.MULTILINE)
    assert sorted(files) == sorted(
        [f"usr/share/cockpit/knockd/{name}" for name in
         ("doors.js", "index.html", "knockd.css", "knockd.js", "manifest.json")]
        + ["usr/share/doc/knockd-cockpit/copyright",
           "usr/share/metainfo/invalid.knockd.cockpit.metainfo.xml"])
    version = run("dpkg-deb", "-f", package, "Version").stdout.strip()
    assert run("dpkg-deb", "-f", package, "Depends").stdout == (
        f"cockpit-bridge (>= 287), knockd (>= {version})\n")


def test_a_plain_installation_has_no_page(installed):
    assert not list(installed.glob("**/*cockpit*"))


# ---- For scripts/screenshots

@pytest.mark.skipif("KNOCKD_PICTURES" not in os.environ, reason="scripts/screenshots takes them")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [860, 390])
def test_the_page_has_pictures(pictured, scheme, width):
    folder = pathlib.Path(os.environ["KNOCKD_PICTURES"])
    pictured.emulate(scheme, width)
    for place in ("doors", "overview"):
        pictured.go_to(place)
        pictured.wait_for(lambda place=place: pictured.visible(f"#{place}"), place)
        pictured.emulate(scheme, width)
        height = pictured.browser.evaluate("document.documentElement.scrollHeight")
        pictured.emulate(scheme, width, height)
        pictured.browser.screenshot(folder / f"cockpit-{place}-{scheme}-{width}.png")
