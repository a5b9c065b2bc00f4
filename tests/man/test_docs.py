# SPDX-License-Identifier: MIT
"""README, docs/ and the other pages for developers: links lead somewhere, and tests that they name
exist."""

import os
import pathlib
import re
import subprocess

import pytest

TREE = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([*TREE.glob("*.md"), *TREE.glob("docs/*.md")])
NAMES = [path.relative_to(TREE).as_posix() for path in PAGES]


def anchors(page):
    """The anchors that GitHub gives to the headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]*)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_that_are_named_exist(page):
    """Paths of the tree in code spans, as whole words."""
    code = " ".join(re.findall(r"`([^`]*)`", page.read_text()))
    paths = re.findall(r"(?:^|[ (])((?:scripts|src|include|tests|docs|conf|man|packaging|openwrt)/[\w./*-]+)",
                       code)
    for path in paths:
        assert list(TREE.glob(path.rstrip("./"))), path


def test_tests_that_are_named_exist():
    sources = "\n".join(path.read_text() for folder, kind in [("e2e", "*.py"), ("packaging", "*.py"),
                                                              ("man", "*.py")]
                        for path in (TREE / "tests" / folder).glob(kind))
    known = set(re.findall(r"^def (test_\w+)", sources, re.MULTILINE))
    known |= {path.stem for path in TREE.glob("tests/*/test_*.py")}
    known |= {path.stem for path in TREE.glob("tests/*/*_test.cpp")}
    for page in PAGES:
        assert set(re.findall(r"\btest_\w+", page.read_text())) - {"test_x"} <= known, page


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent != TREE],
                         ids=lambda page: page.name)
def test_configurations_are_valid(page, tmp_path):
    for text in re.findall(r"(?m)^ +\[options\]\n(?:(?: .*)?\n)+", page.read_text()):
        config = tmp_path / "knockd.conf"
        config.write_text(text)
        config.chmod(0o600)
        fleet = os.environ.get("KNOCKD_FLEET_BINARY")
        if re.search(r"^ +Broker\b", text, re.MULTILINE):
            if not fleet:
                continue
            # The files that it names are on the reader's machine.
            config.write_text(re.sub(r"(?m)^ +(TLS_\w+|Password_File)\b.*$", "", text))
        program = fleet if "Broker" in text else os.environ["KNOCKD_BINARY"]
        done = subprocess.run([program, "-t", "-c", config],
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr


def test_functions_that_the_guide_names_exist():
    guide = (TREE / "docs/source.md").read_text()
    sources = "\n".join(path.read_text() for path in [*TREE.glob("src/**/*.cpp"),
                                                      *TREE.glob("tests/**/*_test.cpp")])
    members = re.findall(r"`[A-Z]\w+::(\w+)`", guide)
    tests = re.findall(r"`(\w+Test)\.(\w+)`", guide)
    packet = re.findall(r"`(\w+\.(?:cpp|h))`(?: \(`(\w+)`\))?",
                        guide.split("To follow one packet")[1].split("\n\n")[0])
    assert members and tests and len(packet) >= 5
    for member in members:
        assert re.search(rf"\b{member}\(", sources), member
    for group, name in tests:
        assert f"({group}, {name})" in sources, name
    for file, function in packet:
        found = list(TREE.glob(f"src/*/{file}")) or list(TREE.glob(f"include/knockd/*/{file}"))
        assert found and f"{function}" in found[0].read_text(), (file, function)
