# SPDX-License-Identifier: MIT
"""LuCI's pages with a replacement of LuCI: knocks at the real daemon, seen and closed in a headless
Chromium; a form whose file the real init script and the real daemon accept; the permissions of
users."""

import json
import re
import signal
import stat

import pytest

from fixtures import TREE
from hostile import hostile_status
from luci import DENIED, OK, AccessList, Luci, Page, Plugin, package, read_uci
from network import run
from router import Router
from waiting import wait_until

APP = TREE / "openwrt/luci-app-knockd"
HOSTILE = "<img src=x onerror=window.hacked=1>"
RULES = """
config rule 'ssh'
    option sequence '7421,3096,5518'
    option tcpflags 'syn'
    option open '22'
    option open_for '10m'
"""


@pytest.fixture(scope="session")
def packaged(tmp_path_factory):
    return package(tmp_path_factory.mktemp("luci"))


@pytest.fixture
def router(tmp_path, knockd):
    return Router(tmp_path / "router", knockd)


@pytest.fixture
def serve(server, packaged, router):
    """serve(program) is a LuCI that runs it as knockd."""
    served = []

    def begin(program):
        served.append(Luci(server, packaged, router, program))
        return served[-1]

    yield begin
    for one in served:
        one.close()


@pytest.fixture
def luci(serve, router, knockd):
    """A LuCI with the doors of RULES; start() starts the daemon."""
    router.root.joinpath("etc/init.d").mkdir()
    configure(router, RULES)
    return serve(knockd)


def configure(router, rules):
    router.uci("knockd", f"config options 'common'\n    option interface 'eth0'\n"
                         f"    option control '{router.root}/control/socket'\n"
                         f"    option statefile '{router.root}/open-doors'\n{rules}")


@pytest.fixture
def look_at(tmp_path):
    """look_at(luci, page, user) opens one."""
    pages = []

    def begin(luci, name, user="root"):
        pages.append(Page(luci, tmp_path / f"browser{len(pages)}", name, user))
        return pages[-1]

    yield begin
    for page in pages:
        complaints = page.browser.complaints()
        page.browser.close()
        assert complaints == []


@pytest.fixture
def look(luci, look_at):
    """look(page, user) opens one."""
    return lambda *words: look_at(luci, *words)


def seconds(text):
    minutes, rest = text.split(":")
    return 60 * int(minutes) + int(rest)


# ---- Overview

def test_a_knock_appears_counts_down_and_is_closed(luci, look, frames, server, client):
    server.serve(22)
    luci.start()
    page = look("overview")
    page.wait_for(lambda: page.rows("knockd-openings") == [["Nobody is in."]], "nobody is in")
    frames.knock("7421,3096,5518")
    page.wait_for(lambda: page.first("knockd-openings")[0] == "ssh", "the knock")
    [[door, address, user, since, left, interface, button]] = page.rows("knockd-openings")
    assert (door, address, user, interface, button) == ("ssh", client.ipv4, "", "eth0", "Close")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", since) and 0 < seconds(left) <= 600
    assert client.reaches(server.ipv4, 22)
    assert page.evaluate("document.querySelector('#knockd-openings button').ariaLabel") == f"Close ssh {client.ipv4}"
    row = "document.querySelector('#knockd-openings button').row"
    page.evaluate("document.querySelector('#knockd-openings button').row = 'the same'")
    # The countdown continues without an answer.
    luci.daemon.send_signal(signal.SIGSTOP)
    asked = len(luci.asked("status"))
    page.wait_for(lambda: len(luci.asked("status")) > asked, "a question that has no answer")
    left = page.first("knockd-openings")[4]
    page.wait_for(lambda: seconds(page.first("knockd-openings")[4]) < seconds(left), "less time left")
    luci.daemon.send_signal(signal.SIGCONT)
    assert page.evaluate(row) == "the same"
    assert page.first("knockd-doors") == ["ssh", "1", "1", "1", "0", "0", "0", "0", "0"]

    page.press("#knockd-openings button")
    page.wait_for(lambda: page.rows("knockd-openings") == [["Nobody is in."]], "it is closed")
    assert page.messages() == ["1 opening closed"] and not client.reaches(server.ipv4, 22)
    assert luci.asked("close") == [{"door": "ssh", "address": client.ipv4}]


def test_an_answer_that_was_overtaken_is_not_shown(luci, look):
    """A closed door does not reappear for a moment."""
    luci.start()
    run(luci._knockd, "-c", luci.router.written, "--open", "ssh", "192.0.2.77")
    page = look("overview")
    page.wait_for(lambda: page.first("knockd-openings")[0] == "ssh", "who is in")
    page.evaluate("""(real => {
      let is_first = true;
      window.fetch = async (...all) => {
        const reply = await real(...all), text = await reply.text();
        if (is_first && all[1].body.includes('"status"')) {
          is_first = false;
          await new Promise(go => { window.release = go; });
          window.is_released = true;
        }
        return new Response(text);
      };
    })(window.fetch)""")
    page.wait_for(lambda: page.evaluate("window.release !== undefined"), "an answer that is late")
    page.press("#knockd-openings button")
    page.wait_for(lambda: page.rows("knockd-openings") == [["Nobody is in."]], "it is closed")
    page.evaluate("""window.came_back = 0;
      new MutationObserver(() => { came_back += document.querySelectorAll('#knockd-openings button').length; })
        .observe(document.getElementById('knockd-openings'), {childList: true});
      window.release()""")
    asked = len(luci.asked("status"))
    page.wait_for(lambda: page.evaluate("window.is_released") and len(luci.asked("status")) > asked + 1, "the next")
    assert page.evaluate("window.came_back") == 0


def test_interfaces_clock_and_failures(luci, look, frames, server, client):
    luci.start()
    page = look("overview")
    frames.knock("7421,3096,7421")
    page.wait_for(lambda: page.first("knockd-attempts")[-1].startswith("wrong"), "the failure")
    [[_, address, door, stage, reason]] = page.rows("knockd-attempts")
    assert (address, door, stage, reason) == (
        client.ipv4, "ssh", "after knock 2", "wrong knock tcp 7421, expected tcp 5518")
    [interface] = page.rows("knockd-interfaces")
    assert interface[:3] == ["eth0", "listening", f"{server.ipv4}, {server.ipv6}"]
    summary = dict(page.rows("knockd-summary"))
    assert summary["Packets lost"] == "0" and summary["Clock"].startswith(("in sync", "not in sync"))
    assert f"{luci.router.written}, read at" in summary["Configuration"]


def test_the_end_of_the_daemon_is_shown_and_the_next_one_found(luci, look):
    page = look("overview")
    page.wait_for(lambda: page.text("#knockd-trouble") == "knockd is not running", "that it does not run")
    assert page.text("#knockd-content") == ""
    luci.start()
    page.wait_for(lambda: page.first("knockd-doors")[0] == "ssh" and page.text("#knockd-content"), "doors")
    assert page.text("#knockd-trouble") == ""
    luci.daemon.terminate()
    page.wait_for(lambda: page.text("#knockd-trouble") == "knockd is not running", "its end")
    assert page.text("#knockd-content") == ""


def test_the_time_left_is_that_of_the_last_answer(luci, look):
    luci.start()
    run(luci._knockd, "-c", luci.router.written, "--open", "ssh", "192.0.2.77")
    page = look("overview")

    def seconds_left():
        return json.loads(run(luci._knockd, "-c", luci.router.written, "--status=json").stdout)["openings"][0]["left"]

    page.wait_for(lambda: page.first("knockd-openings")[0] == "ssh" and seconds_left() < 595, "some answers")
    # The earlier display cannot show less.
    assert seconds(page.first("knockd-openings")[4]) > seconds_left() - 0.5


def test_the_chosen_door_stays_chosen(luci, look):
    luci.start()
    page = look("overview")
    page.wait_for(lambda: page.exists("#knockd-open-door option"), "doors")
    configure(luci.router, RULES.replace("ssh", "first").replace("3096", "3097") + RULES)
    luci.reload()
    page.wait_for(lambda: page.exists("#knockd-open-door option:nth-child(2)"), "another door, before it")
    assert page.evaluate("document.querySelector('#knockd-open-door').value") == "ssh"


def test_a_door_is_opened_by_hand(luci, look):
    luci.start()
    page = look("overview")
    page.wait_for(lambda: page.exists("#knockd-open-door option"), "doors")
    for address, time, expected in [("192.0.2.300", "", "Expected an IPv4 or IPv6 address"), ("", "", "Expected"),
                                    ("192.0.2.77", "2w", "Expected a time like")]:
        page.type("#knockd-open-address", address)
        page.type("#knockd-open-time", time)
        page.press("#knockd-open")
        page.wait_for(lambda expected=expected: page.message().startswith(expected), expected)
    assert luci.asked("open") == []
    page.type("#knockd-open-address", " 192.0.2.77")
    page.type("#knockd-open-time", "2h")
    page.press("#knockd-open")
    page.wait_for(lambda: page.message() == "ssh is open to 192.0.2.77 for 7200 s", "it is said")
    page.wait_for(lambda: page.first("knockd-openings")[:2] == ["ssh", "192.0.2.77"], "it is shown")
    assert page.first("knockd-openings")[5] == "by hand"


def test_a_refusal_is_shown(luci, look):
    luci.start()
    page = look("overview")
    page.wait_for(lambda: page.exists("#knockd-open-door option"), "doors")
    page.type("#knockd-open-address", "224.0.0.1")
    page.press("#knockd-open")
    page.wait_for(lambda: "is no address that a knocker can have" in "".join(page.messages()), "why not")


def test_names_are_text(luci, look):
    """Names of doors, wherever they are shown, in messages, and in the form."""
    configure(luci.router, f"{RULES}\nconfig rule 'other'\n    option name '{HOSTILE}'\n"
                           "    list sequence '7431'\n    list sequence '3196:udp'\n    option command 'true'\n"
                           "    option stop_command 'true'\n    option seq_timeout '5'\n")
    luci.start()
    page = look("overview")
    page.wait_for(lambda: page.exists("#knockd-open-door option:nth-child(2)"), "doors")
    page.evaluate(f"document.querySelector('#knockd-open-door').value = {json.dumps(HOSTILE)}")
    page.type("#knockd-open-address", "192.0.2.77")
    page.press("#knockd-open")
    page.wait_for(lambda: page.first("knockd-openings")[0] == HOSTILE, "the opening")
    assert page.rows("knockd-doors")[1][0] == HOSTILE
    assert page.messages() == [f"{HOSTILE} is open to 192.0.2.77 for 10 s"]
    form = look("doors")
    form.press("tr[data-section-id=other] .edit")
    assert form.text(".modal h4") == f"Door {HOSTILE}"
    assert form.text("tr[data-section-id=other] td") == HOSTILE
    assert form.text("tr[data-section-id=other] td[data-name=sequence]") == "7431,3196:udp"
    for one in (page, form):
        assert not one.exists("img") and one.evaluate("window.hacked") is None


def test_every_text_of_a_status_is_text(serve, look_at, tmp_path):
    """Not only the names that a knockd lets through."""
    program = tmp_path / "knockd"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{hostile_status(HOSTILE)}\nEND\n")
    program.chmod(0o755)
    page = look_at(serve(program), "overview")
    page.wait_for(lambda: page.first("knockd-openings")[0] == HOSTILE, "the status")
    assert page.first("knockd-openings")[4] == "closing"
    assert page.first("knockd-attempts")[-1] == HOSTILE and page.first("knockd-interfaces")[1] == HOSTILE
    assert dict(page.rows("knockd-summary"))["Version"].startswith(HOSTILE)
    assert not page.exists("img") and page.evaluate("window.hacked") is None


def test_a_read_only_user_cannot_press_buttons(luci, look):
    luci.start()
    run(luci._knockd, "-c", luci.router.written, "--open", "ssh", "192.0.2.77")
    page = look("overview", "viewer")
    page.wait_for(lambda: page.first("knockd-openings")[0] == "ssh", "who is in")
    buttons = page.evaluate("[...document.querySelectorAll('button')].map(button => button.disabled)")
    assert buttons == [True, True]
    page = look("doors", "viewer")
    page.wait_for(lambda: page.text("#knockd-check") == "configuration OK", "what knockd says")
    assert page.evaluate("document.querySelector('#knockd-draw-secret').disabled")


# ---- Permissions

def test_the_access_list_has_these_and_nothing_else(packaged):
    text = (packaged / "usr/share/rpcd/acl.d/luci-app-knockd.json").read_text()
    assert not re.search(r'[*?\[\]\\][^,\s"]*"|"[^"]*[*?\\]', text.replace("[ ", "").replace(" ]", "")), "a pattern"
    groups = json.loads(text)
    assert list(groups) == ["luci-app-knockd"]
    rights = groups["luci-app-knockd"]
    assert rights["read"] == {
        "cgi-io": ["exec"],
        "file": {"/sbin/logread -e knockd": ["exec"], "/usr/sbin/logread -e knockd": ["exec"]},
        "ubus": {"file": ["stat"], "log": ["read"], "luci.knockd": ["status", "check"]},
        "uci": ["knockd"]}
    assert rights["write"] == {
        "file": {"/etc/init.d/knockd reload": ["exec"], "/etc/knockd.secrets": ["write"]},
        "ubus": {"file": ["exec", "write"], "luci.knockd": ["close", "open"]},
        "uci": ["knockd"]}


def test_another_command_or_option_is_refused(luci):
    luci.start()
    for command, *params in [["/usr/sbin/knockd", "--close", "all"], ["/usr/sbin/knockd", "--status=json"],
                             ["/usr/sbin/knockd"], ["/sbin/logread", "-e", "knockd", "-f"],
                             ["/sbin/logread"], ["/etc/init.d/knockd", "stop"], ["/etc/init.d/knockd"],
                             ["/etc/init.d/knockd", "reload", "x"], ["/bin/sh", "-c", "id"]]:
        assert luci.answer("root", "file", "exec", {"command": command, "params": params}) == [DENIED]
    for path in ("/etc/knockd.secrets2", "/etc/shadow", "/etc/config/knockd"):
        assert luci.answer("root", "file", "write", {"path": path, "data": "x"}) == [DENIED]
    for user, name, method in [("root", "luci.knockd", "events"), ("root", "file", "read"), ("root", "rc", "init"),
                               ("viewer", "luci.knockd", "close"), ("viewer", "luci.knockd", "open"),
                               ("viewer", "file", "exec"), ("viewer", "file", "write")]:
        assert luci.answer(user, name, method, {}) == [DENIED]
    assert luci.answer("viewer", "uci", "set", {"config": "knockd", "sections": []}) == [DENIED]
    assert luci.answer("root", "uci", "get", {"config": "rpcd"}) == [DENIED]
    assert luci.answer("viewer", "luci.knockd", "status", {})[0] == OK


@pytest.fixture
def plugin(server, packaged, tmp_path):
    """A plugin whose knockd prints its arguments."""
    said = tmp_path / "knockd"
    said.write_text("#!/bin/sh\nprintf '%s|' \"$@\"\necho oh >&2\nexit 3\n")
    said.chmod(0o755)
    return Plugin(packaged, server, tmp_path, said)


def test_the_plugin_runs_these_command_lines(plugin, tmp_path):
    written, refused = tmp_path / "var/run/knockd.conf", tmp_path / "var/run/knockd.conf.new"
    written.parent.mkdir(parents=True)
    written.touch()
    config = f"-c|{written}|"
    for method, values, words in [
        ("status", {}, "--status=json|"),
        ("check", {}, "-t|"),
        ("close", {"door": "ssh", "address": "192.0.2.7"}, "--close|--door=ssh|192.0.2.7|"),
        ("close", {"door": "-x; $(id) 'a\"\u00e9", "address": "2001:db8::7"},
         "--close|--door=-x; $(id) 'a\"\u00e9|2001:db8::7|"),
        ("close", {"door": "all", "address": "::ffff:192.0.2.7"}, "--close|--door=all|::ffff:192.0.2.7|"),
        ("open", {"door": "ssh", "address": "192.0.2.7"}, "--open|--door=ssh|192.0.2.7|"),
        ("open", {"door": "ssh", "address": "192.0.2.7", "time": ""}, "--open|--door=ssh|192.0.2.7|"),
        ("open", {"door": "ssh", "address": "192.0.2.7", "time": "90m"}, "--open|--door=ssh|192.0.2.7|90m|"),
    ]:
        assert plugin.call(method, values) == [0, {"status": 3, "text": config + words, "message": "oh\n"}]
    refused.touch()
    assert plugin.call("check", {})[1]["text"] == f"-c|{refused}|-t|"


def test_the_plugin_runs_nothing_for_wrong_arguments(plugin):
    good = {"door": "ssh", "address": "192.0.2.7", "time": "1h"}
    for wrong in [{"door": ""}, {"door": "a\tb"}, {"door": "a\nb"}, {"door": "a\x7f"}, {"door": "x" * 1025},
                  {"address": ""}, {"address": "all"}, {"address": "-c"}, {"address": "abc"},
                  {"address": "192.0.2.7 x"}, {"address": "192.0.2.7\n"}, {"address": "192.0.2.7\nx"},
                  {"address": "fe80::1%eth0"}, {"address": "1" * 46 + ":"}, {"time": "-1"}, {"time": "1w"},
                  {"time": "1h "}, {"time": "1h\nx"}, {"time": "--help"}, {"time": "1" * 11}]:
        for method in ["open"] if "time" in wrong else ["open", "close"]:
            values = {name: value for name, value in {**good, **wrong}.items()
                      if method == "open" or name != "time"}
            code, answer = plugin.call(method, values)
            assert (code, answer["status"], answer["text"]) == (0, 1, ""), wrong
            assert answer["message"].startswith(f"{next(iter(wrong))}: expected"), wrong
    assert plugin.call("close", {"address": "192.0.2.7"})[1]["message"] == "door: expected a name"
    assert plugin.call("close", {"door": "ssh"})[1]["status"] == 1
    assert plugin.call("close", {**good}) == [2, None]
    assert plugin.call("events", {}) == [3, None]


@pytest.mark.parametrize("script, message", [
    (None, "knockd could not be started"),
    ("kill -KILL $$", "knockd was killed before it answered"),
    ("exec sleep 60", "knockd does not answer"),
    ("head -c 300000 /dev/zero", "the answer of knockd is longer than rpcd passes on")])
def test_a_missing_answer_is_a_failure(server, packaged, tmp_path, monkeypatch, script, message):
    monkeypatch.setenv("TIMEOUT_MILLISECONDS", "200" if "sleep" in str(script) else "30000")
    program = tmp_path / "knockd"
    if script:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    assert Plugin(packaged, server, tmp_path, program).call("status", {}) == [
        0, {"status": None, "text": "", "message": message}]


def test_a_configuration_refused_by_the_service_is_a_failure(server, packaged, tmp_path):
    """Even if knockd would accept it; and if nothing was written, nothing is accepted."""
    program = tmp_path / "knockd"
    program.write_text("#!/bin/sh\necho configuration OK\n")
    program.chmod(0o755)
    plugin = Plugin(packaged, server, tmp_path, program)
    assert plugin.call("check", {})[1] == {
        "status": None, "text": "", "message": "knockd has not been started: there is nothing to check yet"}
    refused = tmp_path / "var/run/knockd.conf.new"
    refused.parent.mkdir(parents=True)
    refused.touch()
    assert plugin.call("check", {})[1] == {
        "status": 1, "text": "", "message": "/etc/config/knockd is refused by the service; its log says why"}


# ---- The form

def test_a_door_is_made_in_the_form(luci, look, frames, server, client):
    """The door also opens: the init script and the daemon accept the file that the form writes."""
    server.serve(22)
    configure(luci.router, RULES.replace("open '22'", "open '23'"))
    luci.start()
    page = look("doors")
    page.wait_for(lambda: page.text("#knockd-check") == "configuration OK", "what knockd says")
    assert page.text("#knockd-verdict") == "The configuration is accepted."
    page.type(".cbi-section-create-name", "web")
    page.press(".cbi-button-add")
    page.press(".modal .knockd-draw-sequence")
    drawn = page.evaluate("document.querySelector('.modal [data-name=sequence] input').value")
    page.type(".modal [data-name=open] input", "22")
    page.type(".modal [data-name=cmd_timeout] input", "2h")
    page.press(".modal .save")
    assert page.text("tr[data-section-id=web] td[data-name=sequence]") == drawn
    page.press(".cbi-button-apply")
    wait_until(lambda: "re-reading" in luci.log(), "the daemon reads it anew", luci.log)
    assert read_uci((luci.router.root / "etc/config/knockd").read_text())[2] == {
        ".type": "rule", ".name": "web", "sequence": drawn, "tcpflags": "syn", "open": "22", "open_for": "2h"}
    assert f"[web]\n    sequence = {drawn}\n    tcpflags = syn\n    open = 22\n    open_for = 2h\n" in \
        luci.router.checked()[0]
    page.wait_for(lambda: page.text("#knockd-check") == "configuration OK", "what knockd says after")
    frames.knock(drawn)
    wait_until(lambda: client.reaches(server.ipv4, 22), "the new door", luci.log)


def test_a_new_door_replaces_no_other(luci, look):
    """LuCI itself would allow it: the settings would become a door, or a door would become
    empty."""
    page = look("doors")
    page.wait_for(lambda: page.exists(".cbi-section-create-name"), "the form")
    for name, expected in [("ssh", "There is a section"), ("common", "There is a section"), ("Options", "Expected"),
                           ("__proto__", "There is a section")]:
        page.type(".cbi-section-create-name", name)
        page.press(".cbi-button-add")
        page.wait_for(lambda expected=expected: page.message().startswith(expected), expected)
        assert not page.exists(".modal")
        page.evaluate("document.querySelector('.alert-message:not(#knockd-verdict)').remove()")
    assert page.text("tr[data-section-id=ssh] td[data-name=open]") == "22"


def test_new_settings_replace_no_other_section(luci, look):
    luci.router.uci("knockd", RULES.replace("'ssh'", "'common'"))
    page = look("doors")
    page.press(".cbi-button-apply")
    file = luci.router.root / "etc/config/knockd"
    page.wait_for(lambda: "config options" in file.read_text(), "it is saved")
    assert [(one[".type"], one[".name"]) for one in read_uci(file.read_text())][0] == ("rule", "common")


def test_errors_of_the_daemon_are_shown(luci, look):
    """A form cannot check files."""
    luci.start()
    page = look("doors")
    page.press("tr[data-section-id=ssh] .edit")
    page.type(".modal [data-name=sequence] input", "7421,totp,totp,totp,totp")
    page.type(".modal [data-name=secrets] input", f"{luci.router.root}/none")
    page.press(".modal .save")
    page.press(".cbi-button-apply")
    page.wait_for(lambda: page.text("#knockd-verdict") ==
                  "The configuration is refused. What ran before goes on.", "that it is refused")
    assert f"knockd.conf.new:" in page.text("#knockd-check") and "/none" in page.text("#knockd-check")
    assert "re-reading" not in luci.log()


def test_errors_of_the_service_alone_are_shown(luci, look):
    luci.start()
    configure(luci.router, RULES + "config door 'web'\n")
    assert luci.reload() != 0
    page = look("doors")
    page.wait_for(lambda: page.text("#knockd-verdict") ==
                  "The configuration is refused. What ran before goes on.", "that it is refused")
    assert page.text("#knockd-check") == "/etc/config/knockd is refused by the service; its log says why"


def test_a_failed_check_is_not_shown_as_a_refusal(luci, look):
    page = look("doors")
    page.wait_for(lambda: page.text("#knockd-verdict") == "The configuration could not be checked.", "no verdict")
    assert page.text("#knockd-check").startswith("knockd has not been started")


def test_wrong_values_are_not_saved(luci, look):
    luci.start()
    before = (luci.router.root / "etc/config/knockd").read_text()
    page = look("doors")
    page.press("tr[data-section-id=ssh] .edit")
    for option, wrong in [("sequence", "7421,x"), ("sequence", ""), ("open", "22,99999"), ("cmd_timeout", "1w"),
                          ("name", "options"), ("tcpflags", "syn,!syn"), ("target", "host"), ("max_open", "0"),
                          ("open_prefix", "24"), ("open_set", "inet fw4"), ("secrets", "secrets"),
                          ("seq_timeout", "0"), ("seq_cooldown", "-1")]:
        field = f".modal [data-name={option}] input"
        good = page.evaluate(f"document.querySelector('{field}').value")
        page.type(field, wrong)
        assert page.exists(f"{field}.cbi-input-invalid"), option
        assert page.evaluate(f"document.querySelector('{field}').dataset.tooltip").startswith("Expected"), option
        page.type(field, good)
        assert not page.exists(f"{field}.cbi-input-invalid"), option
    page.type(".modal [data-name=one_time_sequences] input", "/etc/codes")
    page.type(".modal [data-name=sequence] input", "")
    assert not page.exists(".modal .cbi-input-invalid")
    assert (luci.router.root / "etc/config/knockd").read_text() == before


def test_other_names_of_options_are_kept(luci, look):
    """The names in samples of other packages; lists become one value."""
    configure(luci.router, "config rule 'ssh'\n    list sequence '7421'\n    list sequence '3096'\n"
                           "    option timeout '5'\n    option command 'true'\n    option stop_command6 'false'\n"
                           "    option cmd_timeout '30'\n    option enabled 'off'\n")
    luci.start()
    page = look("doors")
    page.press("tr[data-section-id=ssh] .edit")
    for option, value in [("seq_timeout", "6"), ("start_command", "echo"), ("cmd_timeout", "40"),
                          ("stop_command_6", "")]:
        page.type(f".modal [data-name={option}] input", value)
    page.press(".modal .save")
    assert not page.evaluate("document.querySelector('[id=\"cbid.knockd.ssh.enabled\"] input').checked")
    page.press(".cbi-button-apply")
    file = luci.router.root / "etc/config/knockd"
    page.wait_for(lambda: "'echo'" in file.read_text(), "it is saved")
    [_, door] = read_uci(file.read_text())
    assert door == {".type": "rule", ".name": "ssh", "sequence": ["7421", "3096"], "timeout": "6",
                    "command": "echo", "cmd_timeout": "40", "enabled": "0"}


def test_a_file_without_settings_gets_them(luci, look):
    luci.router.uci("knockd", RULES)
    page = look("doors")
    page.wait_for(lambda: page.exists("[data-section-id=common] [data-name=interface] input"), "the settings")
    page.type("[data-section-id=common] [data-name=interface] input", "wan eth7")
    page.press(".cbi-button-apply")
    file = luci.router.root / "etc/config/knockd"
    page.wait_for(lambda: "wan eth7" in file.read_text(), "it is saved")
    assert read_uci(file.read_text())[1] == {".type": "options", ".name": "common", "interface": "wan eth7"}
    written = luci.router.written
    page.wait_for(lambda: written.exists() and "interface = eth1,eth7" in written.read_text(),
                  "what the daemon would read")


def test_a_secret_is_drawn_and_added(luci, look):
    secrets = luci.router.root / "etc/knockd.secrets"
    secrets.write_text("bob JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    secrets.chmod(0o600)
    configure(luci.router, RULES.replace("7421,3096,5518", "totp,totp,totp,totp") +
              f"    option secrets '{secrets}'\n")
    luci.start()
    page = look("doors")
    page.wait_for(lambda: page.text("#knockd-check"), "what knockd says")
    for name, expected in [("", "Expected 1 to 32 letters"), ("al ice", "Expected"), ("bob", "There is a user")]:
        page.type("#knockd-user", name)
        page.press("#knockd-draw-secret")
        page.wait_for(lambda expected=expected: page.message().startswith(expected), expected)
        assert page.text("#knockd-secret") == ""
    page.type("#knockd-user", "alice")
    page.press("#knockd-draw-secret")
    page.wait_for(lambda: page.text("#knockd-line"), "a secret")
    name, secret = page.text("#knockd-line").split(" ")
    assert name == "alice" and re.fullmatch("[A-Z2-7]{32}", secret)
    address = f"otpauth://totp/router:alice?secret={secret}&issuer=router&digits=8"
    assert page.text("#knockd-address") == address
    assert page.evaluate("decodeURIComponent(document.querySelector('#knockd-qr').src)").endswith(
        f"<desc>{address}</desc></svg>")
    page.press("#knockd-add-user")
    page.wait_for(lambda: page.text("#knockd-added") == "It is in the file, and knockd reads it anew.", "it is added")
    assert secrets.read_text() == f"bob JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\nalice {secret}\n"
    wait_until(lambda: "alice" in run(luci._knockd, "-c", luci.router.written, "--status=json").stdout,
               "the daemon knows it", luci.log)
    page.press("#knockd-draw-secret")
    page.wait_for(lambda: page.message() == "There is a user of this name.", "that there is one now")


def test_a_secret_that_is_not_loaded_is_reported(luci, look):
    """It is in the file, but the service refuses the configuration."""
    luci.start()
    page = look("doors")
    page.wait_for(lambda: page.text("#knockd-check"), "what knockd says")
    configure(luci.router, RULES + "config door 'web'\n")
    page.type("#knockd-user", "alice")
    page.press("#knockd-draw-secret")
    page.press("#knockd-add-user")
    page.wait_for(lambda: page.message() == "knockd could not be reloaded", "it is said")
    assert page.text("#knockd-added") == "It is in the file."


def test_adding_a_secret_does_not_start_a_stopped_daemon(luci, look):
    page = look("doors")
    page.wait_for(lambda: page.exists("#knockd-draw-secret"), "the page")
    page.type("#knockd-user", "alice")
    page.press("#knockd-draw-secret")
    page.press("#knockd-add-user")
    page.wait_for(lambda: page.text("#knockd-added") == "It is in the file.", "it is added")
    secrets = luci.router.root / "etc/knockd.secrets"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert not any(method == "exec" for _, _, method, _ in luci.calls)


# ---- Values

def values(expression, packaged):
    """Evaluates an expression with the module values.js in node."""
    script = packaged / "www/luci-static/resources/knockd/values.js"
    done = run("node", "-e", "const values = new Function('baseclass', '_', require('fs').readFileSync("
               f"{json.dumps(str(script))}, 'utf8'))({{extend: found => found}}, text => text);"
               f"console.log(JSON.stringify({expression}))")
    return json.loads(done.stdout)


DOOR = "[a]\nsequence = 7421,3096,5518\ncommand = true\n"
# Valid and invalid values of an option, which the form must judge like the daemon.
CASES = {
    ("door", "target"): ("address", ["192.0.2.7", "0.0.0.0", "::", "::1", "2001:db8::7", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4",
                         "1:2:3:4:5:6:7::", "1:2:3:4:5:6:1.2.3.4", "192.0.2", "192.0.2.256", "1.2.3.4.5", "01.2.3.4",
                         ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "::1.2.3", "::g", "host",
                         "1.2.3.4::", "fe80::1%eth0", "1:", ":1"]),
    ("door", "tcpflags"): ("flags", ["syn", "syn,!ack", "SYN , ! ack", "fin,rst,psh,urg", "syn,syn", "sny", "syn,", "!",
                           "syn,!syn", "!ack,ack", "syn ack", "syn,\u00a0ack", "!\u2028ack"]),
    ("door", "sequence"): ("sequence", ["1", "7421,3096:udp,5518", "7421 , 3096 : TCP", "65535", "0", "65536", "7421,",
                           ",7421", "7421:", "7421:sctp", "7421:udp:tcp", "abc", "7421;3096", "-1", "1e3", "7421,\ufeff3096", "7421\u00a0:udp",
                           ",".join(["7421"] * 32), ",".join(["7421"] * 33)]),
    ("door", "open"): ("ports", ["22", "22,51820:udp", "22:tcp", "0", "70000", "ssh", "22,", ",".join(["22"] * 33)]),
    ("door", "seq_timeout"): ("time", ["1", "90", "90s", "10m", "1h", "2d", "2147483", "24d", "0", "2147484", "25d", "1w",
                              "1.5", "-1", "1 h", "h", "10M"]),
    ("door", "cmd_timeout"): ("time_or_none", ["0", "0s", "10", "596h", "597h", "2147484", "-1", "none"]),
    ("door", "open_set"): ("set", ["inet fw4 knockd4", "ip  filter\tallowed", "ip6 f a", "inet fw4", "inet fw4 a b", "bridge f a",
                           "inet 4fw a", "inet f a;b", "INET fw4 knockd4"]),
    ("door", "open_prefix"): ("prefixes", ["24 64", "32  128", "1 1", "0 64", "33 64", "24 129", "24", "24 64 1", "24,64"]),
    ("door", "max_open"): ("number(1, 1000000)", ["1", "1000000", " 1 ", "0", "1000001", "x", "1.0", "1\u00a0"]),
    ("options", "scan_limit"): ("number(0, 64)", ["0", "64", "65", "-1", "4 "]),
    ("options", "table"): ("table", ["knockd", "_a-b.c", "a/b", "4a", "a b", "x" * 200, "x" * 201]),
    ("options", "control_group"): ("group", ["adm", "a-b_c", "a b", "a:b", "a,b", "#adm", " "]),
    ("options", "on_start"): ("command", ["true", "#x", " "]),
}


@pytest.mark.parametrize("place", CASES, ids=lambda place: place[1])
def test_the_form_accepts_the_same_values_as_the_daemon(place, packaged, knockd, tmp_path):
    section, option = place
    check, texts = CASES[place]
    verdicts = values(f"{json.dumps(texts)}.map(text => values.checks.{check}(text) === true)", packaged)
    config = tmp_path / "knockd.conf"
    expected = []
    for text in texts:
        line = f"{option} = {text}\n"
        config.write_text(f"[options]\n{line}{DOOR}" if section == "options" else DOOR + line)
        found = run(knockd, "-t", "-c", config, check=False).stdout
        errors = [one for one in found.splitlines() if re.match(r"\S+:\d+:\d+: (?!warning)", one)]
        expected.append(not errors)
    assert dict(zip(texts, verdicts)) == dict(zip(texts, expected))
    assert {True, False} == set(verdicts)


def test_values_that_the_daemon_would_not_see_whole(packaged):
    """Comments, line breaks, and characters special to UCI or to a file with brackets."""
    cases = [
        ("path", "/etc/a #b", False), ("path", "/etc/a#b", True), ("path", "a", False), ("path", "/a\tb", False),
        ("path_or_none", "none", True), ("path_or_none", "/a", True), ("path_or_none", "no", False),
        ("command", "echo #x", True), ("command", "a\nb", False), ("door", "a]b", False), ("door", "a b", True),
        ("door", "Options", False), ("door", " ", False), ("interfaces", "wan wan6,eth0.2", True),
        ("interfaces", "a/b", False), ("interfaces", "x" * 16, False), ("user", "al.i-c_e", True), ("user", "x" * 33, False),
        ("sequence", "7421,totp,400xx,654XX", True), ("sequence", "655xx", False), ("sequence", "xx", False),
        ("sequence", "0xx", False),
    ]
    verdicts = values(f"{json.dumps(cases)}.map(([check, text]) => values.checks[check](text))", packaged)
    for (check, text, is_right), verdict in zip(cases, verdicts):
        assert (verdict is True) == is_right, (check, text, verdict)
        assert is_right or verdict.startswith("Expected"), verdict


def test_drawn_values(packaged):
    drawn = values("Array.from({length: 2000}, values.draw_sequence)", packaged)
    ports = [[int(port) for port in re.fullmatch(r"(\d+),(\d+):udp,(\d+)", one).groups()] for one in drawn]
    assert all(10000 <= port <= 65535 for three in ports for port in three)
    assert all(first != third for first, _, third in ports) and len(set(drawn)) == 2000
    # Every range of ports is drawn; it is practically impossible that 6000 draws miss one of 55.
    assert {port // 1000 for three in ports for port in three} == set(range(10, 66))
    secrets = values("Array.from({length: 200}, values.draw_secret)", packaged)
    assert all(re.fullmatch("[A-Z2-7]{32}", secret) for secret in secrets)
    assert len(set("".join(secrets))) == 32 and len(set(secrets)) == 200
    assert values("values.address_of_secret('my router&x', 'alice', 'ABC')", packaged) == \
        "otpauth://totp/myrouterx:alice?secret=ABC&issuer=myrouterx&digits=8"
    assert values("values.address_of_secret('é', 'a', 'B')", packaged).startswith("otpauth://totp/knockd:a?")


# ---- The package

def test_the_form_has_every_directive():
    form = (APP / "htdocs/luci-static/resources/view/knockd/doors.js").read_text()
    table = (TREE / "src/config/directives.cpp").read_text()
    directives = re.findall(r'^ +\{"(\w+)", "(\w*)", k(?:Options|Door),', table, re.MULTILINE)
    assert len(directives) > 30
    # The init script logs to syslog, and no service of OpenWrt has a pid file.
    missing = [name for names in directives for name in names
               if name and name not in ("UseSyslog", "PidFile") and f"'{name.lower()}'" not in form]
    assert missing == []


def test_menu_access_list_and_files_fit(packaged):
    menu = json.loads((packaged / "usr/share/luci/menu.d/luci-app-knockd.json").read_text())
    access = json.loads((packaged / "usr/share/rpcd/acl.d/luci-app-knockd.json").read_text())
    pages = {node["action"]["path"] for node in menu.values() if node["action"]["type"] == "view"}
    assert pages == {"knockd/overview", "knockd/doors", "knockd/log"}
    for page in pages:
        assert (packaged / f"www/luci-static/resources/view/{page}.js").is_file()
    assert all(node["depends"]["acl"] == list(access) for node in menu.values())


def test_the_log_is_that_of_knockd(luci, look):
    page = look("log")
    page.wait_for(lambda: page.text("[data-tag=knockd]") == "Log of knockd", "the log")


def test_without_the_sources_the_package_is_not_built(tmp_path):
    (tmp_path / "rules.mk").touch()
    done = run("make", "-C", APP, f"TOPDIR={tmp_path}", "KNOCKD_SOURCE=", check=False)
    assert done.returncode != 0 and "set KNOCKD_SOURCE to the path of a clone or release" in done.stdout


def test_the_strings_for_translation_are_up_to_date():
    run(str(TREE / "scripts/strings"), "--check")
