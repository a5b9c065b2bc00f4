# SPDX-License-Identifier: MIT
"""LuCI's pages without LuCI: the package made by its Makefile, served to a Chromium with the
replacement of LuCI's runtime in tests/luci. Requests of the pages to ubus are answered like rpcd's:
by the package's access list, its plugin, the real init script and the real daemon."""

import contextlib
import fnmatch
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from browser import HEADLESS_SHELL, Browser
from fixtures import TREE
from network import run
from router import STAND_INS
from waiting import wait_until

PORT = 8080
OK, NOT_FOUND, NO_DATA, DENIED = 0, 4, 5, 6  # of ubus
PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>LuCI</title></head>
<body><div id="maincontent"><div id="view"></div></div><script src="/luci.js"></script></body></html>"""


def package(folder):
    """Builds the package with the feed's Makefile; returns its folder."""
    run("make", "-s", "-C", str(TREE / "openwrt/luci-app-knockd"), f"TOPDIR={STAND_INS}",
        f"OUT={folder}", f"KNOCKD_SOURCE={TREE}", "packages")
    return folder / "luci-app-knockd"


def read_uci(text):
    """[{".name", ".type", option: value or [value, ...]}] of a file in UCI's format."""
    sections = []
    for word, rest in re.findall(r"^\s*(config|option|list)\s+(.*)$", text, re.MULTILINE):
        words = [one[0] or one[1] for one in re.findall(r"'([^']*)'|(\S+)", rest)]
        if word == "config":
            name = words[1] if len(words) > 1 else f"cfg{len(sections)}"
            sections.append({".type": words[0], ".name": name})
        elif word == "option":
            sections[-1][words[0]] = words[1]
        else:
            sections[-1].setdefault(words[0], []).append(words[1])
    return sections


def write_uci(sections):
    lines = []
    for section in sections:
        lines.append(f"config {section['.type']} '{section['.name']}'")
        for option, value in section.items():
            if option[0] == ".":
                continue
            for item in value if isinstance(value, list) else [value]:
                word = "list" if isinstance(value, list) else "option"
                lines.append(f"\t{word} {option} '" + item.replace("'", "'\\''") + "'")
    return "\n".join(lines) + "\n"


class Plugin:
    """The package's plugin, run by node."""

    def __init__(self, packaged, host, prefix, knockd):
        self._process = host.start(
            "node", TREE / "tests/luci/plugin.js", packaged / "usr/share/rpcd/ucode/knockd.uc", prefix,
            knockd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lock = threading.Lock()

    def call(self, method, values):
        """[code, answer]"""
        with self._lock:
            self._process.stdin.write(json.dumps([method, values]) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


class AccessList:
    """The permissions of the package's users, as rpcd reads them: the user "viewer" may only read,
    others also write."""

    def __init__(self, packaged):
        text = (packaged / "usr/share/rpcd/acl.d/luci-app-knockd.json").read_text()
        self._groups = json.loads(text)["luci-app-knockd"]

    def _rights(self, user):
        return [self._groups["read"]] + ([self._groups["write"]] if user != "viewer" else [])

    def may_call(self, user, name, method):
        return any(method in rights["ubus"].get(name, []) for rights in self._rights(user))

    def may_use(self, user, path, how):
        return any(fnmatch.fnmatchcase(path, pattern) and how in allowed
                   for rights in self._rights(user) for pattern, allowed in rights["file"].items())

    def may_have(self, user, config, how):
        return config in self._groups[how]["uci"] and (how == "read" or user != "viewer")


class Luci:
    """Serves the pages on `host`, with the configuration of `router`. Ends with close()."""

    def __init__(self, host, packaged, router, knockd):
        self.host, self.router, self.packaged = host, router, packaged
        self.rights = AccessList(packaged)
        self.plugin = Plugin(packaged, host, router.root, knockd)
        self.calls = []  # (user, object, method, values), in order
        self.daemon = None
        self._knockd = knockd
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._send(outer.file(self.path.split("?")[0]))

            def do_POST(self):
                text = self.rfile.read(int(self.headers["Content-Length"]))
                user = "viewer" if "user=viewer" in self.headers.get("Referer", "") else "root"
                self._send(json.dumps(outer.answer(user, *json.loads(text))).encode())

            def _send(self, content):
                self.send_response(404 if content is None else 200)
                kind = "text/html" if self.path.startswith("/?") else "text/javascript"
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # the browser has left the page
                    self.wfile.write(content or b"")

            def log_message(self, *_):
                pass

        with host.inside():
            self._server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def file(self, path):
        if path == "/":
            return PAGE.encode()
        if path == "/luci.js":
            return (TREE / "tests/luci/luci.js").read_bytes()
        found = self.packaged / "www" / path.lstrip("/")
        return found.read_bytes() if path.startswith("/luci-static/") and found.is_file() else None

    # ---- The answers of rpcd.

    def answer(self, user, name, method, values):
        values = {key: value for key, value in values.items() if value is not None}
        self.calls.append((user, name, method, values))
        if name == "uci":
            return self._uci(user, method, values)
        if not self.rights.may_call(user, name, method):
            return [DENIED]
        if name == "luci.knockd":
            return self.plugin.call(method, values)
        if (name, method) == ("file", "exec"):
            return self._exec(user, values)
        if (name, method) == ("file", "write"):
            return self._write(user, values)
        return [NOT_FOUND]

    def _uci(self, user, method, values):
        if method == "apply":
            if user == "viewer":  # a permission of luci-base
                return [DENIED]
            self.reload()
            return [OK, {}]
        config = values["config"]
        if (method, config) == ("get", "system"):  # the same
            return [OK, {"sections": [{".type": "system", ".name": "system", "hostname": "router"}]}]
        if not self.rights.may_have(user, config, "read" if method == "get" else "write"):
            return [DENIED]
        file = self.router.root / f"etc/config/{config}"
        if method == "get":
            return [OK, {"sections": read_uci(file.read_text())}]
        file.write_text(write_uci(values["sections"]))
        return [OK, {}]

    def _exec(self, user, values):
        line = " ".join([values["command"], *values.get("params", [])])
        if not self.rights.may_use(user, values["command"], "exec") and \
                not self.rights.may_use(user, line, "exec"):
            return [DENIED]
        if line != "/etc/init.d/knockd reload":
            return [NOT_FOUND]
        return [OK, {"code": self.reload(), "stdout": "", "stderr": ""}]

    def _write(self, user, values):
        if not self.rights.may_use(user, values["path"], "write"):
            return [DENIED]
        path = self.router.root / values["path"].lstrip("/")
        flags = os.O_APPEND if values.get("append") else os.O_TRUNC
        file = os.open(path, os.O_WRONLY | os.O_CREAT | flags, values.get("mode", 0o666))
        os.write(file, values["data"].encode())
        os.close(file)
        return [OK]

    # ---- The actions of procd.

    def start(self):
        """Starts the daemon with the configuration that the init script writes."""
        status, lines = self.router.call("start", check=False)
        assert status == 0, lines
        log = self.router.root / "knockd.log"
        with open(log, "wb") as output:
            self.daemon = self.host.start(self._knockd, "-c", self.router.written, "-v", stdout=output,
                                          stderr=subprocess.STDOUT)
        self.router.running()
        wait_until(lambda: "starting up" in log.read_text(), "the daemon listens", log.read_text)

    def reload(self):
        status, _ = self.router.call("reload", check=False)
        if status == 0 and self.daemon:
            self.daemon.send_signal(signal.SIGHUP)
        return status

    def log(self):
        return pathlib.Path(self.router.root / "knockd.log").read_text()

    def asked(self, method):
        return [values for _, name, called, values in self.calls
                if (name, called) == ("luci.knockd", method)]


class Page:
    """One of the pages, in a browser on the host that serves them."""

    def __init__(self, luci, folder, name, user="root"):
        self.browser = Browser(luci.host, folder, program=HEADLESS_SHELL)
        self._luci = luci
        self.browser.open(f"http://127.0.0.1:{PORT}/?view=knockd/{name}&user={user}")

    def report(self):
        return (f"{self.evaluate('document.body.innerText')}\n{self.browser.report()}\n"
                f"{self._luci.calls[-10:]}")

    def evaluate(self, expression):
        return self.browser.evaluate(expression)

    def wait_for(self, condition, what):
        return wait_until(condition, what, self.report, 30)

    def rows(self, table):
        """The texts of each row of a table, without its titles."""
        return self.evaluate(f"[...document.querySelectorAll('#{table} tr:not(.table-titles)')].map("
                             "row => [...row.cells].map(cell => cell.textContent))")

    def first(self, table):
        """The texts of its first row."""
        return (self.rows(table) or [[""]])[0]

    def text(self, selector):
        """The text of an element; empty if it does not exist or is hidden."""
        return self.evaluate(f"(node => node?.checkVisibility() ? node.textContent : '')"
                             f"(document.querySelector({json.dumps(selector)}))")

    def messages(self):
        return self.evaluate("[...document.querySelectorAll('.alert-message:not([hidden])')]"
                             ".map(node => node.textContent)")

    def message(self):
        """The newest message; empty if there is none."""
        return (self.messages() or [""])[0]

    def exists(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)}) !== null")

    def press(self, selector):
        self.wait_for(lambda: self.exists(selector), selector)
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector, text):
        """Replaces the text of a field."""
        self.evaluate(f"(node => {{ node.value = {json.dumps(text)};"
                      " node.dispatchEvent(new Event('input')); })"
                      f"(document.querySelector({json.dumps(selector)}))")
