# SPDX-License-Identifier: MIT
"""Controls a headless Chromium on a host of the test network through its DevTools protocol, over
pipes: opens pages, clicks, and reads its network requests."""

import base64
import fcntl
import json
import os
import select
import time

from network import OWN_MOUNTS
from waiting import NeverHappened, wait_until

PATIENCE = 60  # seconds until a browser has started or done something, on a busy machine

def command_line(program):
    """Besides its profile it writes into the user's home. machine.py has made /run separate."""
    return ["env", "HOME=/run", "TMPDIR=/run", program, "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync"]


CHROMIUM = command_line("chromium")
# The same engine without the windows around it starts in a third of the time: for pages that a test
# only shows and presses.
HEADLESS_SHELL = command_line("chromium-headless-shell")
# Runs in a new mount namespace, with its own file as /etc/hosts.
WITH_HOSTS = [*OWN_MOUNTS, "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"']


def _pipe():
    """A pipe with descriptor numbers that are free in the browser too."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved


class Browser:
    """One Chromium with one page. `names` is {name: [address, ...]}. Ends with the network."""

    def __init__(self, host, folder, names=None, arguments=(), program=CHROMIUM):
        folder.mkdir()
        self._log = folder / "browser.log"
        hosts = folder / "hosts"
        hosts.write_text("127.0.0.1 localhost\n" + "".join(
            f"{address} {name}\n" for name, found in (names or {}).items() for address in found))
        theirs_in, self._out = _pipe()
        self._in, theirs_out = _pipe()
        # Chromium reads commands from descriptor 3 and writes to 4; each command ends with a zero
        # byte.
        pipes = ["bash", "-c", f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"', "bash"]
        with open(self._log, "wb") as log:
            host.start(*pipes, *WITH_HOSTS, hosts, *program, "--remote-debugging-pipe",
                       f"--user-data-dir={folder / 'profile'}", *arguments,
                       stdout=log, stderr=log, pass_fds=(theirs_in, theirs_out))
        os.close(theirs_in)
        os.close(theirs_out)
        self._rest = b""
        self._number = 0
        self._session = None
        self.events = []  # (method, params), in order
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def close(self):
        os.close(self._in)
        os.close(self._out)

    def report(self):
        return "\n".join([*(f"{method} {str(params)[:300]}" for method, params in self.events[-20:]),
                          self._log.read_text(errors="replace")[-1000:]])

    def _receive(self, end):
        """The next message."""
        while b"\0" not in self._rest:
            readable, _, _ = select.select([self._in], [], [], max(0, end - time.monotonic()))
            part = os.read(self._in, 1 << 20) if readable else b""
            if not part:
                raise NeverHappened(f"an answer of the browser: not within {PATIENCE} s\n{self.report()}")
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(message)
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message

    def send(self, method, **parameters):
        """Sends without waiting for the answer; returns the number of the request."""
        self._number += 1
        request = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._out, json.dumps(request).encode() + b"\0")
        return self._number

    def call(self, method, **parameters):
        number = self.send(method, **parameters)
        end = time.monotonic() + PATIENCE
        while True:
            answer = self._receive(end)
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}\n{self.report()}"
                return answer["result"]

    def evaluate(self, expression):
        """The value of an expression in the page; waits for a promise."""
        done = self.call("Runtime.evaluate", expression=expression, awaitPromise=True,
                         returnByValue=True)
        assert "exceptionDetails" not in done, f"{expression}: {done['exceptionDetails']}"
        return done["result"].get("value")

    def open(self, url):
        loads = self._loads()
        failure = self.call("Page.navigate", url=url).get("errorText")
        assert failure is None, f"{url}: {failure}\n{self.report()}"
        wait_until(lambda: self.evaluate("document.readyState") == "complete"
                   and self._loads() > loads, f"{url} is loaded", self.report, PATIENCE)

    def _loads(self):
        return sum(method == "Page.loadEventFired" for method, _ in self.events)

    def click(self, selector):
        """Clicks with the mouse in the middle of the element."""
        x, y = self.evaluate(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2] })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")

    def wait_for_text(self, selector, text):
        wait_until(lambda: self.text(selector) == text, f"{selector} is {text!r}",
                   lambda: f"{self.text(selector)!r}\n{self.report()}", PATIENCE)

    def requested(self):
        """The addresses of all requests of the page so far, in order."""
        return [params["request"]["url"] if "request" in params else params["url"]
                for method, params in self.events
                if method in ("Network.requestWillBeSent", "Network.webSocketCreated")]

    def complaints(self):
        """The errors on the console, except failed connections."""
        return [params for method, params in self.events
                if method == "Runtime.exceptionThrown" or method == "Log.entryAdded"
                and params["entry"]["level"] == "error" and params["entry"]["source"] != "network"]

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
