# SPDX-License-Identifier: MIT
"""The manual pages describe all options and directives, no others, and their examples work."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

TREE = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted((TREE / "man").glob("*.[1-8]"))
KNOCKD = os.environ["KNOCKD_BINARY"]
KNOCK = os.environ["KNOCK_BINARY"]
FIREWALL = str(TREE / "src/firewall/knockd-firewall")


def page(name):
    return (TREE / "man" / name).read_text()


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


# Options, as the set of (letter or "", long name).


def options_in_usage(program):
    usage = run(program, "-h").stdout
    found = re.findall(r"^ +(?:-(\w), +)?--([\w-]+)", usage, re.MULTILINE)
    assert found, usage
    return set(found)


def options_in_page(name):
    """"".It Fl x Ar value , Fl -long Ar value"; options without a letter may share a line."""
    options = set()
    for item in re.findall(r"^\.It (Fl .*)$", page(name), re.MULTILINE):
        words = re.findall(r"(?:^|, )Fl (\S+)|, (-\S+)", item)
        letters = [a for a, b in words if a and not a.startswith("-")]
        names = [(a or b)[1:] for a, b in words if (a or b).startswith("-")]
        assert len(letters) <= 1 <= len(names), item
        options |= {(letters[0] if letters else "", name) for name in names}
    return options


PROGRAMS = [(KNOCKD, "knockd.8"), (KNOCK, "knock.1")]
if "KNOCKD_FLEET_BINARY" in os.environ:
    PROGRAMS.append((os.environ["KNOCKD_FLEET_BINARY"], "knockd-fleet.8"))


@pytest.mark.parametrize("program, name", PROGRAMS)
def test_page_has_the_options_of_the_usage(program, name):
    assert options_in_page(name) == options_in_usage(program)


def test_synopsis_has_every_letter():
    synopsis = page("knockd.8").split(".Sh DESCRIPTION")[0]
    letters = set("".join(re.findall(r"Fl (\w+)", synopsis)))
    letters |= set(re.findall(r"Fl h \| (\w)", synopsis))
    assert letters == {letter for letter, _ in options_in_usage(KNOCKD) if letter}


# knockd-firewall has forms instead of options.


def words(form):
    return [word for word in re.findall(r"\w[\w-]*", form.lower()) if word not in ("ar", "cm", "fl", "op", "oo", "oc")]


def test_firewall_page_has_the_forms_of_the_usage():
    usage = run(FIREWALL, "--help").stdout
    forms = re.findall(r"^(?:usage:| {6}) knockd-firewall (.*)$", usage, re.MULTILINE)
    synopsis = section_of_page(page("knockd-firewall.8"), "SYNOPSIS")
    described = re.split(r"^\.Nm\n", synopsis, flags=re.MULTILINE)[1:]
    assert list(map(words, described)) == list(map(words, forms))


def test_firewall_page_has_the_variables_of_the_program():
    environment = section_of_page(page("knockd-firewall.8"), "ENVIRONMENT")
    program = pathlib.Path(FIREWALL).read_text()
    assert re.findall(r"^\.It Ev (\w+)", environment, re.MULTILINE) == sorted(
        set(re.findall(r"KNOCKD_[A-Z]+", program)))


# Directives, as {full name: section in which it may stand}. The parser has them in one table.


def directives_in_table():
    source = (TREE / "src" / "config" / "directives.cpp").read_text()
    rows = re.findall(r'^ +\{"(\w+)", "(\w*)", k(Options|Door),', source, re.MULTILINE)
    assert len(rows) > 20, rows
    return rows


def section_of_page(text, title):
    return re.split(r"^\.Sh ", text.split(f".Sh {title}\n")[1], flags=re.MULTILINE)[0]


@pytest.mark.parametrize("scope, title", [("Options", "OPTIONS"), ("Door", "DOORS")])
def test_page_has_the_directives_of_the_parser(scope, title):
    section = section_of_page(page("knockd.conf.5"), title)
    documented = re.findall(r"^\.It Ic (\w+)", section, re.MULTILINE)
    assert documented == sorted(documented, key=lambda name: name.lower().replace("_", ""))
    assert set(documented) == {name for name, _, where in directives_in_table() if where == scope}


def test_fleet_page_has_the_keys_of_the_program():
    source = (TREE / "src/fleet/fleet_config.cpp").read_text()
    table = source.split("constexpr Key kKeys[]")[1].split("};")[0]
    keys = set(re.findall(r'\{"(\w+)"', table)) | {"Password_File", "UseSyslog"}
    section = section_of_page(page("knockd-fleet.8"), "CONFIGURATION")
    documented = re.findall(r"^\.It Ic (\w+)", section, re.MULTILINE)
    assert documented == sorted(documented, key=str.lower)
    assert set(documented) == keys


def test_page_has_the_other_names_of_directives():
    aliases = re.findall(r"^\.Ic (\w+)\nis another name for it\.", page("knockd.conf.5"),
                         re.MULTILINE)
    assert set(aliases) == {alias for _, alias, _ in directives_in_table() if alias}


def test_page_gives_the_range_that_the_parser_accepts(tmp_path):
    """A range "A to B" is accepted at A and B and refused beyond."""
    text = page("knockd.conf.5")
    ranges = re.findall(r"^\.It Ic (\w+) No = Ar \w+\n((?:(?!\.It).*\n)*?.*?\b(\d+) to\s(\d+))", text,
                        re.MULTILINE)
    assert len(ranges) >= 6, ranges
    scopes = {name: where for name, _, where in directives_in_table()}
    for name, _, least, most in ranges:
        for value, good in [(int(least) - 1, False), (least, True), (most, True),
                            (int(most) + 1, False)]:
            line = f"{name} = {value}\n"
            config = tmp_path / "knockd.conf"
            config.write_text(("[options]\n" + line if scopes[name] == "Options" else "") +
                              "[door]\nSequence = 7421,3096,5518\n" +
                              (line if scopes[name] == "Door" else ""))
            assert (run(KNOCKD, "-t", "-c", str(config)).returncode == 0) == good, line


# Examples.


def examples(name, least):
    """The literal displays of a page that are configurations."""
    displays = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", page(name), re.MULTILINE | re.DOTALL)
    configurations = [text for text in displays if text.startswith("[")]
    assert len(configurations) >= least
    return configurations


EXAMPLES = examples("knockd.conf.5", 5) + examples("knockd-firewall.8", 1)


# Warnings that depend on the machine, or that an example shows on purpose.
EXPECTED_WARNINGS = ("does not exist", "one knock: any port scan", "clock is not in sync")


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: re.findall(r"\[(.*)\]", text)[-1])
def test_example_is_a_configuration_without_fault(text, tmp_path):
    sequences = tmp_path / "travel.list"
    sequences.write_text(" 5117,6226:udp,4334\n")
    sequences.chmod(0o600)
    config = tmp_path / "knockd.conf"
    secrets = tmp_path / "secrets"
    secrets.write_text("alice JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n")
    secrets.chmod(0o600)
    config.write_text(text.replace("/etc/knockd/travel.list", str(sequences))
                      .replace("/etc/knockd/secrets", str(secrets)))
    config.chmod(0o600)
    result = run(KNOCKD, "-t", "-c", str(config))
    assert result.returncode == 0, result.stderr
    # A finding is followed by its line and a caret.
    *warnings, verdict = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert verdict == "configuration OK"
    assert [w for w in warnings if not any(known in w for known in EXPECTED_WARNINGS)] == []


# Form.


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_mandoc_has_nothing_to_say(path):
    said = run("mandoc", "-T", "lint", "-W", "style", str(path))
    # Other installed pages depend on the machine; the next test checks that ours exist.
    lines = [line for line in (said.stdout + said.stderr).splitlines()
             if "referenced manual not found" not in line and "outdated mandoc.db" not in line]
    assert lines == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_references_among_our_pages_exist(path):
    ours = {tuple(other.name.rsplit(".", 1)) for other in PAGES}
    names = {name for name, _ in ours}
    references = re.findall(r"^\.Xr (\S+) (\d)", path.read_text(), re.MULTILINE)
    assert {r for r in references if r[0] in names} <= ours
