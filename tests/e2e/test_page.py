# SPDX-License-Identifier: MIT
"""knock --page: a page with which any browser knocks; its button is pressed in a headless Chromium.
scripts/pages does this twenty times for each case."""

import collections
import functools
import itertools
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import codes
from browser import Browser
from network import run
from readable import FAULTS
from waiting import wait_until

TEST_SECONDS = 240
# How often each case is tried. scripts/pages tries all of them, 20 times.
TIMES = range(1, int(os.environ.get("KNOCKD_PAGE_TIMES", 1)) + 1)
IS_LONG = "KNOCKD_PAGE_TIMES" in os.environ
WAYS = [way for way in itertools.product(["file", "http", "https"], ["IPv4", "IPv6", "name"],
                                         ["drops", "rejects"])
        if IS_LONG or way in [
            ("file", "IPv4", "drops"), ("file", "IPv6", "rejects"), ("file", "name", "drops"),
            ("http", "name", "drops"), ("http", "IPv4", "rejects"), ("https", "name", "rejects"),
            ("https", "IPv6", "drops")]]
NAME = "gate.example"
FIVE = [7421, 3096, 5518, 8114, 2907]
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # from RFC 4226: "12345678901234567890"
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 3, 0x800, 0x86dd  # linux/if_ether.h
SO_RCVBUFFORCE = 33  # asm-generic/socket.h
SYN = 2
Syn = collections.namedtuple("Syn", "family port source_port sequence")


@pytest.fixture(autouse=True)
def default_routes(client, server):
    """Without one, Chromium assumes that there is no IPv6."""
    client.run("ip", "route", "add", "default", "via", server.ipv4)
    client.run("ip", "-6", "route", "add", "default", "via", server.ipv6)


def drop(server, but=()):
    """A firewall that drops everything except at these ports."""
    for program, icmp in (("iptables", "icmp"), ("ip6tables", "icmpv6")):
        for port in but:
            server.run(program, "-A", "INPUT", "-p", "tcp", "--dport", str(port), "-j", "ACCEPT")
        server.run(program, "-A", "INPUT", "-p", icmp, "-j", "ACCEPT")
        server.run(program, "-P", "INPUT", "DROP")


class Syns:
    """The SYNs that reach a host, in order, without retransmissions."""

    def __init__(self, host):
        self._seen = {}
        self._wire = host.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        self._wire.bind(("eth0", ETH_P_ALL))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                frame, (_, kind, direction, *_) = self._wire.recvfrom(65535)
            except OSError:  # the end of the network
                return
            if direction == socket.PACKET_OUTGOING or kind not in (ETH_P_IP, ETH_P_IPV6):
                continue
            family, protocol, tcp = (4, 23, 34) if kind == ETH_P_IP else (6, 20, 54)
            if frame[protocol] == socket.IPPROTO_TCP and frame[tcp + 13] == SYN:
                source_port, port, sequence = struct.unpack_from("!HHI", frame, tcp)
                self._seen.setdefault(Syn(family, port, source_port, sequence))

    def of(self, family, but=()):
        return [syn for syn in list(self._seen) if syn.family == family and syn.port not in but]

    def ports(self, family, but=()):
        return [syn.port for syn in self.of(family, but)]


@pytest.fixture
def syns(server):
    return Syns(server)


@pytest.fixture
def browse(client, server, tmp_path):
    """browse(*arguments) starts a browser that knows the server by NAME."""
    browsers = []

    def start(*arguments, addresses=(4, 6)):
        names = {NAME: [server.address(family) for family in addresses]}
        browsers.append(Browser(client, tmp_path / f"browser{len(browsers)}", names, arguments))
        return browsers[-1]

    yield start
    for each in browsers:
        each.close()


def press(browser):
    browser.click("#knock")
    browser.wait_for_text("#status", "Knocked. Connect now.")
    assert browser.complaints() == [], browser.report()


@pytest.fixture
def make_page(knock_binary, tmp_path):
    """make_page(*arguments) writes a page and returns its path."""
    def make(*arguments):
        path = tmp_path / "knock.html"
        path.write_text(run(knock_binary, "--page", *map(str, arguments)).stdout)
        return path

    return make


class Web:
    """Serves one page on a host, by http or https, until close()."""

    def __init__(self, host, port, page, certificate=None):
        self.port = port
        content = page.read_bytes()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path == "/" else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(content if self.path == "/" else b"")

            def log_message(self, *_):
                pass

        with host.inside():
            self._server = ThreadingHTTPServer((host.ipv4, port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True,
                                                      do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def publish(server, tmp_path):
    """publish(scheme, page) serves it at the knocked host itself and returns its address."""
    served = []

    def serve(scheme, page):
        port = {"http": 80, "https": 443}[scheme]
        certificate = tmp_path / "certificate.pem"
        if scheme == "https":
            run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                f"/CN={NAME}", "-keyout", certificate, "-out", tmp_path / "public.pem")
            certificate.write_text(certificate.read_text() + (tmp_path / "public.pem").read_text())
        served.append(Web(server, port, page, certificate if scheme == "https" else None))
        return f"{scheme}://{server.ipv4}/"

    yield serve
    for each in served:
        each.close()


@pytest.mark.parametrize("origin, target, firewall", WAYS,
                         ids=["-".join(way) for way in WAYS])
@pytest.mark.parametrize("_time", TIMES)
def test_each_place_gets_one_syn_in_order(client, server, syns, start, ledger, browse, make_page,
                                          publish, origin, target, firewall, _time):
    """The daemon opens too, over each family that the page knocks at."""
    if firewall == "drops":
        drop(server, but=[80, 443])
    daemon = start(f"[door]\nsequence = {','.join(map(str, FIVE))}\ntcpflags = syn\n"
                   f"command = {ledger.command('opened')}\n", "-D")
    page = make_page({"IPv4": server.ipv4, "IPv6": server.ipv6, "name": NAME}[target], *FIVE)
    browser = browse("--ignore-certificate-errors")
    browser.open(page.as_uri() if origin == "file" else publish(origin, page))
    press(browser)
    families = {"IPv4": [4], "IPv6": [6], "name": [4, 6]}[target]
    for family in families:
        ledger.wait_for(f"opened {client.address(family)}", also_found=daemon.report)
    for family in (4, 6):
        expected = FIVE if family in families else []
        assert syns.ports(family, but=[80, 443]) == expected, daemon.report()
    assert "wrong knock" not in daemon.output(), daemon.report()
    scheme = "wss" if origin == "https" else "ws"
    host = {"IPv4": server.ipv4, "IPv6": f"[{server.ipv6}]", "name": NAME}[target]
    knocks = [url for url in browser.requested() if not url.startswith(("data:", "about:"))][1:]
    assert knocks == [f"{scheme}://{host}:{port}/" for port in FIVE]


# ---- What the page computes

@pytest.fixture
def shown(browse, make_page):
    """A browser that shows a page of plain knocks at the name."""
    browser = browse()
    browser.open(make_page(NAME, *FIVE).as_uri())
    return browser


def steps_now():
    return int(time.time() // 30)


@pytest.fixture
def make_page_with_secret(make_page, tmp_path):
    secrets = tmp_path / "secrets"
    secrets.write_text(f"alice {SECRET}\n")
    secrets.chmod(0o600)
    return functools.partial(make_page, "--secret", secrets)


ROUNDS = {"IPv4": [4], "IPv6": [6], "name": [4, 6]}


@pytest.mark.parametrize("target, firewall", [
    way for way in itertools.product(ROUNDS, ["drops", "rejects"])
    if IS_LONG or way in [("IPv4", "rejects"), ("IPv6", "drops"), ("name", "drops")]])
@pytest.mark.parametrize("_time", TIMES)
def test_computed_places_get_the_ports_that_oathtool_computes(
        server, syns, browse, make_page_with_secret, target, firewall, _time):
    """For a name the page knocks at the ports of IPv4 and then at those of IPv6, because the
    browser chooses the family. Over each family both are seen, its own complete and in order."""
    if firewall == "drops":
        drop(server)
    host = {"IPv4": server.ipv4, "IPv6": server.ipv6, "name": NAME}[target]
    browser = browse()
    browser.open(make_page_with_secret(host, "7000", "totp", "totp", "totp", "totp").as_uri())
    before = steps_now()
    press(browser)
    after = steps_now()
    rounds = ROUNDS[target]
    for family in rounds:
        seen = syns.ports(family)
        places = [seen[5 * at:5 * at + 5] for at in range(len(rounds))]
        assert len(seen) == 5 * len(rounds)
        for theirs, ports in zip(rounds, places):
            assert ports in [[7000, *codes.computed(SECRET, step, theirs)]
                             for step in range(before, after + 1)]


COMPUTED_WAYS = [way for way in itertools.product(["IPv4", "IPv6", "name"], ["drops", "rejects"],
                                                 ["7000,", ""])
                 if IS_LONG or way in [("name", "drops", "7000,"), ("name", "rejects", "")]]


@pytest.mark.parametrize("target, firewall, fixed", COMPUTED_WAYS)
@pytest.mark.parametrize("_time", TIMES)
def test_computed_places_open(server, client, start, ledger, browse, make_page_with_secret, tmp_path,
                              target, firewall, fixed, _time):
    """Over each family of the host, although the ports of both are knocked over each."""
    if firewall == "drops":
        drop(server)
    sequence = f"{fixed}totp,totp,totp,totp"
    host = {"IPv4": server.ipv4, "IPv6": server.ipv6, "name": NAME}[target]
    page = make_page_with_secret(host, *sequence.split(","))
    daemon = start(f"[door]\nsequence = {sequence}\nsecrets = {tmp_path}/secrets\n"
                   f"command = {ledger.command('opened')}\n", "-D")
    browser = browse()
    browser.open(page.as_uri())
    press(browser)
    for family in {"IPv4": [4], "IPv6": [6], "name": [4, 6]}[target]:
        source = client.address(family)
        ledger.wait_for(f"opened {source}", also_found=daemon.report)
        daemon.wait_for(rf"{source}: door: knock of alice")
    assert not [line for line in daemon.matching(r".*refused: .*") if "other address" not in line]


VECTORS = {
    # RFC 4648, 10
    'String.fromCharCode(...base32("MZXW6YTBOI"))': "foobar",
    'String.fromCharCode(...base32("MZXW6"))': "foo",
    # FIPS 180, and lengths on both sides of a block boundary
    'hex(sha1([]))': "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    'hex(sha1(bytes("abc")))': "a9993e364706816aba3e25717850c26c9cd0d89d",
    'hex(sha1(bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")))':
        "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
    'hex(sha1(bytes("a".repeat(55))))': "c1c8bbdc22796e28c0e15163d20899b65621d65a",
    'hex(sha1(bytes("a".repeat(64))))': "0098ba824b5c16427bd7a1122a5a442a25ec644d",
    # RFC 2202, 3: cases 1, 2 and 6
    'hex(hmac(Array(20).fill(0x0b), bytes("Hi There")))': "b617318655057264e28bc0b6fb378c8ef146be00",
    'hex(hmac(bytes("Jefe"), bytes("what do ya want for nothing?")))':
        "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
    'hex(hmac(Array(80).fill(0xaa), bytes("Test Using Larger Than Block-Size Key - Hash Key First")))':
        "aa4ae5e15272d00e95705637ce8a3b55ed402112",
    # RFC 4226, appendix D, the last eight digits
    **{f'hotp(base32("{SECRET}"), {count})': code for count, code in enumerate(
        [84755224, 94287082, 37359152, 26969429, 40338314, 68254676, 18287922, 82162583, 73399871,
         45520489])},
    # RFC 6238, appendix B, SHA-1
    f'hotp(base32("{SECRET}"), Math.floor(1111111109 / 30))': 7081804,
    f'hotp(base32("{SECRET}"), Math.floor(20000000000 / 30))': 65353130,
    # Typed places: the code at 1111111109 is 07081804.
    f'ports_at(37037036, ["7000", "400xx", "401xx", "402xx", "403xx"], "{SECRET}", 6).join()':
        "7000,40007,40108,40218,40304",
    f'ports_at(37037036, ["7000", "400xx", "401xx", "402xx"], "{SECRET}", 4).join()':
        "7000,40008,40118,40204",
}


def test_the_page_computes_the_vectors_of_the_standards(shown):
    helpers = ("const hex = all => all.map(byte => byte.toString(16).padStart(2, '0')).join(''),"
               " bytes = text => [...text].map(letter => letter.charCodeAt(0));")
    for expression, expected in VECTORS.items():
        found = shown.evaluate(f"(() => {{ {helpers} return {expression} }})()")
        assert found == expected, expression


def test_the_page_computes_the_ports_of_oathtool(shown):
    for step in (1, 59_000_000, 2**31 - 1):
        for secret in (SECRET, "JBSWY3DPEHPK3PXP", "MZXW6YTBOI" * 12):
            for family in (4, 6):
                ports = shown.evaluate(f'ports_at({step}, ["totp", "7000", "totp", "totp", "totp"],'
                                       f' "{secret}", {family})')
                assert ports.pop(1) == 7000
                assert ports == codes.computed(secret, step, family)


# ---- What a user sees

# Large enough for thumbs.
SMALL = """(() => [...document.querySelectorAll("body *:not(script, noscript)")].filter(element =>
  parseFloat(getComputedStyle(element).fontSize) < 16 || element.matches("button")
  && element.getBoundingClientRect().height < 44).map(element => element.outerHTML))()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_readable_and_usable_on_a_small_screen(browse, make_page, scheme):
    browser = browse()
    browser.call("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.call("Emulation.setDeviceMetricsOverride", width=320, height=568, deviceScaleFactor=2,
                 mobile=True)
    browser.open(make_page("a-rather-long-name-of-a-host-that-has-to-be-broken.gate.example",
                           *FIVE).as_uri())
    assert browser.evaluate(FAULTS) == []
    assert browser.evaluate(SMALL) == []
    axe = os.environ.get("KNOCKD_AXE")  # scripts/pages
    if axe:
        browser.evaluate(pathlib.Path(axe).read_text() + ";0")
        found = browser.evaluate("axe.run().then(result => result.violations.map("
                                 "each => [each.id, each.help, each.nodes.map(node => node.html)]))")
        assert found == []


@pytest.mark.skipif("KNOCKD_PAGE_PICTURE" not in os.environ, reason="scripts/pages takes it")
def test_the_page_has_a_picture(browse, make_page, tmp_path):
    """In the size of a phone, while it knocks."""
    config = tmp_path / "knockd.conf"
    config.write_text("[ssh]\nsequence = 7421,3096,5518,8114,2907\n")
    browser = browse()
    browser.call("Emulation.setDeviceMetricsOverride", width=360, height=420, deviceScaleFactor=1,
                 mobile=True)
    browser.open(make_page(NAME, "--door=ssh", "--config", config).as_uri())
    browser.evaluate("bar.max = 5; bar.value = 2; show('Knock 3 of 5')")
    browser.screenshot(pathlib.Path(os.environ["KNOCKD_PAGE_PICTURE"]))


@pytest.mark.parametrize("form", [["--page"], ["--export", "knockonports"]])
def test_a_full_disk_is_an_error(knock_binary, form):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([knock_binary, *form, NAME, "7000"], stdout=full, timeout=10, text=True,
                              stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (3, "knock: standard output: No space left on device\n")


def test_the_page_is_valid_html(make_page):
    done = run("tidy", "-q", "-e", make_page("gate.example", *FIVE), check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_strings_from_a_file_are_escaped_in_the_page(browse, knock_binary, tmp_path):
    name = "<script>document.title='!'</script> \"'&amp; \x01\xe9"
    config = tmp_path / "knockd.conf"
    config.write_bytes(b"[" + name.encode("latin-1") + b"]\nsequence = 7000,8000,9000\n")
    page = tmp_path / "knock.html"
    with open(page, "wb") as out:
        subprocess.run([knock_binary, "--page", NAME, b"--door=" + name.encode("latin-1"),
                        "--config", config], stdout=out, timeout=10, check=True)
    browser = browse()
    browser.open(page.as_uri())
    shown = "<script>document.title='!'</script> \"'&amp; \ufffd\ufffd"
    assert browser.text("h1") == shown
    assert browser.evaluate("document.title") == f"Knock: {shown}"
    assert browser.complaints() == []


def test_an_offline_browser_shows_that_and_does_not_knock(shown, syns):
    ready = shown.text("#status")
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    shown.call("Network.emulateNetworkConditions", offline=True, **offline)
    says = "This device is offline. Connect it to Wi-Fi or mobile data, then knock."
    shown.wait_for_text("#status", says)
    shown.click("#knock")
    assert shown.text("#status") == says and ready == ""
    assert shown.evaluate("document.querySelector('#progress').value") == 0
    shown.call("Network.emulateNetworkConditions", offline=False, **offline)
    shown.wait_for_text("#status", "")
    press(shown)
    assert syns.ports(4) == FIVE


def test_the_policy_allows_requests_to_the_host_only(shown, stranger):
    there = Syns(stranger)
    for attempt in (f"new WebSocket('ws://{stranger.ipv4}:7000/')",
                    f"fetch('http://{stranger.ipv4}:7000/', {{mode: 'no-cors'}}).catch(() => 0)",
                    f"new Image().src = 'http://{stranger.ipv4}:7000/'",
                    "document.body.append(Object.assign(document.createElement('script'),"
                    " {textContent: 'document.title = 1'}))"):
        known = len(shown.complaints())
        shown.evaluate(f"{attempt}; 0")
        wait_until(lambda known=known: shown.evaluate("0") == 0 and len(shown.complaints()) > known,
                   f"{attempt} is refused", shown.report)
    assert shown.evaluate("document.title") == f"Knock: {NAME}"
    assert there.ports(4) == []


def test_each_press_knocks_again(shown, server, syns):
    """Chromium delays WebSockets after many failed ones."""
    drop(server)
    for count in (1, 2, 3):
        press(shown)
        for family in (4, 6):
            assert syns.ports(family) == FIVE * count


# Browsers block some ports below these; all computed ports are above.
REFUSED_UP_TO = 10080


def test_the_page_refuses_the_same_ports_as_chromium(browse, syns, server, knock_binary, tmp_path):
    """Tried with requests; a closed port ends each of them."""
    page = tmp_path / "requests.html"
    page.write_text("<!DOCTYPE html>")
    browser = browse()
    browser.open(page.as_uri())
    for first in range(1, REFUSED_UP_TO + 1, 600):  # a busy machine needs seconds for so many
        browser.evaluate(f"""(async () => {{
          for (let port = {first}; port < {first + 600}; port += 60)
            await Promise.all(Array.from({{length: 60}}, (_, i) =>
              fetch(`http://{server.ipv4}:${{port + i}}/`, {{mode: "no-cors"}}).catch(() => 0)));
          return "tried" }})()""")
    wait_until(lambda: REFUSED_UP_TO - 1 in syns.ports(4), "the last requests")
    # These two are in the standard, and not in Chromium.
    refused = set(range(1, REFUSED_UP_TO + 1)) - set(syns.ports(4)) | {4190, 6679}
    for first in range(1, REFUSED_UP_TO + 1, 30):  # a sequence has at most 32 knocks
        ports = range(first, min(first + 30, REFUSED_UP_TO + 1))
        done = run(knock_binary, "--page", NAME, *map(str, ports), check=False)
        found = [port for port in ports if port in refused]
        said = "knock: --page: browsers refuse to connect to " + ", ".join(
            f"port {port}" for port in found)
        if found:
            assert done.stdout == said + "\n"
        else:
            assert done.stdout.startswith("<!DOCTYPE html>"), done.stdout
