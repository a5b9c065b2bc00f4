# SPDX-License-Identifier: MIT
"""The real Cockpit, unpacked by scripts/unpack-packages: cockpit-ws with a local session on a host
of the test network, the installed page, and a Chromium that shows it. The commands of the page are
recorded, and sent to the test's daemon."""

import json
import os
import pathlib
import subprocess

from browser import HEADLESS_SHELL, Browser
from network import run
from waiting import wait_until

PORT = 9090
PATH = "/cockpit/@localhost/knockd/index.html"
# Replaces knockd on the PATH: records its arguments, and asks the test's daemon.
NOTED = """#!/bin/sh
{{ printf '%s|' "$@"; echo; }} >>{folder}/asked
exec {knockd} --control {control} "$@"
"""


class Cockpit:
    """A session of root on `host`. Ends with the network."""

    def __init__(self, host, folder, build, knockd, control):
        folder.mkdir()
        self._folder, self._knockd, self._control = folder, knockd, control
        self._asked = folder / "asked"
        self._asked.touch()
        programs = folder / "bin"
        programs.mkdir()
        (programs / "knockd").write_text(NOTED.format(folder=folder, knockd=knockd, control=control))
        (programs / "knockd").chmod(0o755)
        run("cmake", "--install", build, "--component", "cockpit", "--prefix", "/usr",
            env={**os.environ, "DESTDIR": str(folder / "root")})
        self._log = folder / "cockpit.log"
        debian = pathlib.Path(os.environ["KNOCKD_COCKPIT"]).resolve() / "usr"
        [libraries] = debian.glob("lib/*-linux-gnu")
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder),
                       "XDG_DATA_DIRS": f"{folder}/root/usr/share:{debian}/share:/usr/share",
                       "LD_LIBRARY_PATH": str(libraries), "LC_ALL": "C.UTF-8",
                       # The agent and the bus of a session would leave their sockets in /tmp.
                       "SSH_AUTH_SOCK": f"{folder}/none", "DBUS_SESSION_BUS_ADDRESS": "disabled:"}
        with open(self._log, "wb") as log:
            host.start(debian / "lib/cockpit/cockpit-ws",
                       f"--local-session={debian}/bin/cockpit-bridge",
                       "--address=127.0.0.1", f"--port={PORT}", env=environment, stdout=log,
                       stderr=subprocess.STDOUT)
        wait_until(lambda: self._listens(host), "cockpit-ws listens", self.log)
        self.browser = Browser(host, folder / "browser", program=HEADLESS_SHELL)
        self.load()

    def load(self, path=PATH):
        self.browser.open(f"http://127.0.0.1:{PORT}{path}")

    @staticmethod
    def _listens(host):
        return f"127.0.0.1:{PORT}" in host.run("ss", "-Hltn").stdout

    def close(self):
        self.browser.close()

    def log(self):
        return self._log.read_text(errors="replace")

    def report(self):
        return f"{self.browser.evaluate('document.body.innerText')}\n{self.browser.report()}\n{self.log()}"

    def asked(self):
        """The arguments of each knockd that the page has run."""
        return [line.split("|")[:-1] for line in self._asked.read_text().splitlines()]

    def knockd(self, *words):
        """Runs knockd like a user in a shell."""
        return run(self._knockd, "--control", self._control, *words)

    def emulate(self, scheme, width, height=844):
        """Emulates a browser that prefers light or dark, of this size in pixels."""
        self.browser.call("Emulation.setEmulatedMedia",
                          features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                          deviceScaleFactor=1, mobile=width < 600)

    def is_dark(self):
        return self.browser.evaluate("document.documentElement.classList.contains('dark')")

    def rights(self):
        """The privileges that the page has requested from Cockpit for its commands."""
        sent = [params["response"]["payloadData"] for method, params in self.browser.events
                if method == "Network.webSocketFrameSent"]
        return {json.loads(text).get("superuser") for text in sent if '"spawn"' in text}

    def policy(self):
        """The Content-Security-Policy of the page, by its directives."""
        headers = next(params["response"]["headers"] for method, params in self.browser.events
                       if method == "Network.responseReceived"
                       and params["response"]["url"].endswith(PATH))
        return dict(part.split(maxsplit=1)
                    for part in headers["Content-Security-Policy"].split(";") if " " in part.strip())

    def rows(self, table):
        """The visible text of each row of a table, by the keys of the columns."""
        return self.browser.evaluate(
            f"[...document.querySelectorAll('#{table} tbody tr')].map(row => Object.fromEntries("
            f"[...document.querySelectorAll('#{table} th')].map((head, at) =>"
            " [head.dataset.key ?? 'button', row.cells[at].textContent])))")

    def wait_for(self, condition, what, **options):
        return wait_until(condition, what, self.report, **options)

    def wait_for_rows(self, table, count, **options):
        self.wait_for(lambda: len(self.rows(table)) == count, f"{count} rows in {table}", **options)
        return self.rows(table)

    def visible(self, selector):
        return self.browser.evaluate(f"document.querySelector('{selector}').checkVisibility()")

    def said(self, selector):
        """The text of a message; empty while it is hidden."""
        return self.browser.text(selector) if self.visible(selector) else ""

    def go_to(self, place):
        self.browser.click(f"#to-{place}")

    def close_row(self, number):
        """Presses the Close button of a row."""
        button = f"#openings tbody tr:nth-child({number + 1}) button"
        self.browser.evaluate(f"document.querySelector('{button}').scrollIntoView({{block: 'center'}})")
        self.browser.click(button)

    def disabled_buttons(self):
        return self.browser.evaluate("document.querySelectorAll('button:disabled').length")

    def remove_knockd(self):
        """Takes the program off its PATH."""
        (self._folder / "bin" / "knockd").unlink()

    def type(self, text):
        """Replaces the text in the filter."""
        self.browser.evaluate("document.getElementById('filter').select()")
        if text:
            self.browser.call("Input.insertText", text=text)
        else:
            for kind in ("keyDown", "keyUp"):
                self.browser.call("Input.dispatchKeyEvent", type=kind, key="Delete", code="Delete",
                                  windowsVirtualKeyCode=46)
