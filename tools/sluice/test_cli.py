#!/usr/bin/python3
"""The whole program: against an API of our own over TLS, and against a store's files, whole and damaged.

Usage: test_cli.py SLUICE MAKE_STORE
"""
import base64
import http.server
import json
import os
import random
import re
import shutil
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

SLUICE, MAKE_STORE = sys.argv[1:3]
T0 = 1795254529000000
DAMAGES = 60  # of a store's file, by random bytes

# Two rules hold the same command; the third case is wrong.
HELD_BY_TWO = """\
kind: Resource
version: 1
metadata: {name: shop}
spec:
  protocol: postgres
  address: 10.99.2.2:5432
  credential: shop-app
  databases: [shop]
  tls: {mode: 'off'}
---
kind: Role
version: 1
metadata: {name: agent}
spec:
  groups: [agents]
  resources: [shop]
  databases: ['*']
  allow: [any]
---
kind: Rule
version: 1
metadata: {name: one}
spec:
  action: hold
  kinds: [delete]
  approvers: [dba]
---
kind: Rule
version: 1
metadata: {name: two}
spec:
  action: hold
  kinds: [delete]
  approvers: [security]
---
kind: Test
version: 1
metadata: {name: both}
spec:
  identity: {groups: [agents]}
  resource: shop
  database: shop
  cases:
    - {statement: "DELETE FROM t WHERE a = 1", expect: hold, rule: two}
    - {statement: "DELETE FROM t WHERE a = 1", expect: hold, rule: one}
    - {statement: "DELETE FROM t WHERE a = 1", expect: hold, rule: none}
"""


def message(kind, body):
    return kind + struct.pack(">I", len(body) + 4) + body


def reply():
    columns = b"".join(name + b"\0" + struct.pack(">IHIhih", 0, 0, 25, -1, -1, 0) for name in (b"id", b"name"))
    row = struct.pack(">H", 2) + struct.pack(">I", 1) + b"1" + struct.pack(">I", 8) + b"An\x1b[31mn"
    return (message(b"T", struct.pack(">H", 2) + columns) + message(b"D", row)
            + message(b"C", b"SELECT 1\0") + message(b"Z", b"I"))


def records():
    data = reply()
    parts = [data[:30], data[30:]]
    recs = [
        {"kind": "session", "user": "agent", "resource": "shop", "protocol": "postgres", "groups": ["agents"]},
        {"kind": "command", "cmd": 1, "phase": "simple", "text": "select", "length": 6, "verdict": "allow"},
    ] + [{"kind": "data", "cmd": 1, "data": base64.b64encode(p).decode()} for p in parts] + [
        {"kind": "end", "reason": "client closed", "commands": 1, "denied": 0, "bytes_in": 1, "bytes_out": 2},
    ]
    for n, r in enumerate(recs):
        r.update(n=n, t_us=T0 + n * 1000)
    return recs


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = []
    tcp_loops = False

    def log_message(self, *args):
        pass

    def say(self, code, what, kind="application/json"):
        body = b"" if code == 204 else what.encode() if isinstance(what, str) else json.dumps(what).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        if code == 302:
            self.send_header("Location", "/v1/health")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        Api.seen.append((self.command, self.path, self.headers.get("Authorization"), body))
        path = self.path
        if path == "/v1/health":
            return self.say(200, {"status": "degraded", "reasons": ["store failed"]})
        if self.headers.get("Authorization") != "Bearer good-token":
            return self.say(401, {"title": "Unauthorized", "status": 401, "detail": "no token\x1b[2J"},
                            "application/problem+json")
        page = re.match(r"/v1/sessions/\w+/records\?from=(\d+)&limit=\d+$", path)
        if page:
            at, recs = int(page.group(1)), records()
            return self.say(200, {"records": recs[at:at + 2], "next": at + 2 if at + 2 < len(recs) else None})
        if path == "/v1/sessions/LOOP/verify":
            return self.say(302, {})
        pages = {  # two workers; a page that is empty and goes on
            "worker=0&after=0": ([{"id": "0000000100000001", "state": "ESTABLISHED", "rx_queue_bytes": 3, "srtt_us": 1500,
                                   "rttvar_us": 250, "mss": 1448, "remote": "[fd00::1]:5\x1b", "ts": True, "sack": True,
                                   "wscale": True, "snd_wscale": 7, "rcv_wscale": 2, "timer": "on", "timer_ms": 40,
                                   "bytes_sent": 123456789012, "bytes_received": 998877665544,
                                   "ca_state": "recovery"}], 4),
            "worker=0&after=4": ([], 9), "worker=0&after=9": ([], None),
            "worker=1&after=0": ([{"id": "0100000100000002", "timer": "off", "ca_state": "open",
                                   "last_rcv_ms": 9}], None)}
        if path.startswith("/v1/tcp?"):
            rows, following = pages[path[8:]] if not Api.tcp_loops else ([], 0)
            return self.say(200, {"worker": 0, "workers": 2, "connections": rows, "next": following})
        table = {
            ("GET", "/v1/tcp/0100000100000002/trace"): (200, {"id": "0100000100000002", "live": False, "connection": None,
                "events": [{"t_us": T0, "text": "rto rto_ms=200"}, {"t_us": T0 + 250, "text": "rtx\x1b[1m"}]}),
            ("GET", "/v1/tcp/0000000100000001/trace"): (200, {"id": "0000000100000001", "live": True, "events": [],
                "connection": {"id": "0000000100000001", "state": "CLOSE-WAIT"}}),
            ("GET", "/v1/sessions?limit=50"): (200, {"sessions": [
                {"id": "01HF", "user": "evil\x1b]0;x\x07", "state": "live", "started_us": T0}]}),
            ("GET", "/v1/sessions/01HF/verify"): (200, {"ok": True, "sessions": 1, "records": 5, "checkpoints": 2,
                                                        "problem": None}),
            ("POST", "/v1/verify"): (200, {"ok": False, "problem": "session X record 7: hash differs"}),
            ("POST", "/v1/approvals/A%2F1/approve"): (200, {}),
            ("POST", "/v1/approvals/B/deny"): (409, {"title": "Conflict", "status": 409, "detail": "decided already"}),
            ("POST", "/v1/policies"): (422, {"title": "policy", "status": 422, "errors": [
                {"file": "a", "line": 3, "column": 5, "text": "unknown key", "hint": "spec?"}]}),
            ("PUT", "/v1/credentials/shop-app"): (204, ""),
        }
        self.say(*table.get((self.command, path), (404, {"title": "Not Found", "status": 404})))

    do_GET = do_POST = do_PUT = do_DELETE = answer


class Cli(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="sluice-cli-")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", cls.dir + "/key.pem", "-out", cls.dir + "/cert.pem", "-days", "2", "-subj", "/CN=gw",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(cls.dir + "/cert.pem", cls.dir + "/key.pem")
        cls.server.socket = ctx.wrap_socket(cls.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.port = cls.server.server_address[1]

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        shutil.rmtree(cls.dir)

    def run_cli(self, *args, code=0, token="good-token", stdin=None, **env):
        full = {"PATH": os.environ["PATH"], "TZ": "UTC", "SLUICE_SERVER": "https://127.0.0.1:%d" % self.port,
                "SLUICE_CA": self.dir + "/cert.pem", "SLUICE_TOKEN": token, "LSAN_OPTIONS": "exitcode=99"}
        full.update(env)
        r = subprocess.run([SLUICE, *args], env=full, input=stdin, capture_output=True, text=True, timeout=60)
        self.assertEqual(r.returncode, code, (args, r.stdout, r.stderr))
        for c in r.stdout + r.stderr:
            self.assertTrue(c == "\n" or c >= " ", (args, r.stdout, r.stderr))
        return r.stdout + r.stderr

    def test_reads(self):
        self.assertIn("degraded: store failed", self.run_cli("health", code=1, token=""))
        self.assertIn(r"evil\x1b]0;x\x07", self.run_cli("sessions", "ls"))
        self.assertEqual(json.loads(self.run_cli("--json", "sessions", "ls"))["sessions"][0]["id"], "01HF")
        self.assertIn("verified: 1 sessions, 5 records", self.run_cli("sessions", "verify", "01HF"))
        self.assertIn("record 7: hash differs", self.run_cli("sessions", "verify", code=3))

    def test_play(self):
        out = self.run_cli("sessions", "play", "01HF")
        self.assertIn(r" 1  | An\x1b[31mn", out)
        self.assertIn("SELECT 1\n", out)
        self.assertIn("END: client closed (1 commands", out)
        self.assertEqual(len(json.loads(self.run_cli("sessions", "play", "01HF", "--json"))), 5)

    def test_tcp(self):
        out = self.run_cli("tcp", "ls")
        lines = out.split("\n")
        self.assertEqual(lines[0].split(), ["ID", "STATE", "RECV-Q", "SEND-Q", "LOCAL", "PEER"])
        self.assertEqual(len(lines), 6)
        self.assertRegex(lines[1], r"^0000000100000001 +ESTABLISHED +3 +0 +.*\[fd00::1\]:5\\x1b$")
        self.assertEqual(lines[2], "    ts sack wscale:7,2 timer:(on,40ms,0) rtt:1.500/0.250 recovery mss:1448 "
                                   "bytes_sent:123456789012 bytes_received:998877665544")
        self.assertRegex(lines[3], "^0100000100000002 ")
        self.assertEqual(lines[4], "    lastrcv:9")
        self.assertEqual([r["id"] for r in json.loads(self.run_cli("tcp", "ls", "--json"))],
                         ["0000000100000001", "0100000100000002"])
        self.assertEqual(len(json.loads(self.run_cli("tcp", "ls", "--json", "--limit", "1"))), 1)
        Api.tcp_loops = True
        self.assertIn("does not go on", self.run_cli("tcp", "ls", code=1))
        Api.tcp_loops = False
        out = self.run_cli("tcp", "trace", "0100000100000002")
        self.assertIn("has ended", out)
        self.assertRegex(out, r"\+250 +rtx\\x1b\[1m")
        self.assertIn("CLOSE-WAIT", self.run_cli("tcp", "trace", "0000000100000001"))
        self.assertEqual(len(json.loads(self.run_cli("tcp", "trace", "0100000100000002", "--json"))["events"]), 2)
        self.run_cli("tcp", "trace", "A/1", code=1)
        self.assertEqual(Api.seen[-1][1], "/v1/tcp/A%2F1/trace")
        self.run_cli("tcp", "trace", code=2)

    def test_writes(self):
        self.run_cli("approvals", "approve", "A/1", "--note", "fine")
        self.assertEqual(json.loads(Api.seen[-1][3]), {"note": "fine"})
        self.assertIn("decided already", self.run_cli("approvals", "deny", "B", code=1))
        self.run_cli("credentials", "set", "shop-app", "--username", "app", "--password-file", "-", stdin='p"w\n')
        self.assertEqual(json.loads(Api.seen[-1][3]), {"username": "app", "password": 'p"w'})
        with open(self.dir + "/p.yaml", "w", encoding="utf-8") as f:
            f.write("kind: X")
        self.assertIn("a:3:5: unknown key (spec?)", self.run_cli("policy", "apply", self.dir + "/p.yaml", code=3))

    def test_policy_names_all_that_hold(self):
        with open(self.dir + "/held.yaml", "w", encoding="utf-8") as f:
            f.write(HELD_BY_TWO)
        out = self.run_cli("policy", "test", self.dir + "/held.yaml", code=1)
        self.assertIn("hold by one, two, expected hold by no rule", out)
        self.assertIn("2 passed, 1 failed", out)

    def test_refusals(self):
        url = "https://127.0.0.1:%d" % self.port
        self.assertIn(r"no token\x1b[2J", self.run_cli("status", code=1, token=""))
        self.assertIn("holds no token", self.run_cli("status", code=2, token="two words"))
        self.assertIn("not accepted", self.run_cli("health", code=1, SLUICE_CA=""))
        # The certificate is for the address, not for the name.
        self.assertIn("not accepted", self.run_cli("health", code=1, SLUICE_SERVER=url.replace("127.0.0.1", "localhost")))
        self.assertIn("not an https", self.run_cli("health", code=2, SLUICE_SERVER=url.replace("https", "http")))
        self.assertIn("cannot be reached", self.run_cli("health", code=1, SLUICE_SERVER="https://127.0.0.1:1"))
        nb = len(Api.seen)
        self.assertIn("status 302", self.run_cli("sessions", "verify", "LOOP", code=1))
        self.assertEqual(len(Api.seen), nb + 1)  # nothing was followed
        for bad in ([], ["nope"], ["sessions"], ["sessions", "play"], ["status", "x"], ["status", "--rows", "3"],
                    ["sessions", "ls", "--limit", "-1"], ["--token", "x", "status"]):
            self.run_cli(*bad, code=2)

    def test_store(self):
        db, key = self.dir + "/db", self.dir + "/sign.key"
        subprocess.run([MAKE_STORE, db, key, "4", "30"], check=True)
        out = self.run_cli("store", "verify", db, "--key", key + ".pub")
        self.assertIn("verified: 4 sessions, 120 records", out)
        anchor = re.search(r"last checkpoint (\S+)", out).group(1)
        self.run_cli("store", "verify", db, "--checkpoint", anchor)
        self.run_cli("store", "verify", db, "--checkpoint", anchor[:-1] + ("0" if anchor[-1] != "0" else "1"), code=3)
        self.assertIn("keys that the store itself names", self.run_cli("store", "verify", db))
        session = self.run_cli("store", "ls", db).split("\n")[1].split()[0]
        self.assertIn("29 ", self.run_cli("store", "show", db, session))
        self.run_cli("store", "verify", self.dir + "/nowhere", code=1)
        self.damage(db, key)

    def damage(self, db, key):
        """Any damage to the file itself: an answer, never a crash. 0 when only free pages were hit."""
        with open(db + "/data.mdb", "rb") as f:
            good = f.read()
        seed = random.randrange(1 << 30)
        print("seed", seed)
        rnd, codes = random.Random(seed), []
        for i in range(DAMAGES):
            bad = bytearray(good)
            if i % 4 == 0:
                bad = bad[:rnd.randrange(len(bad))]
            else:
                for _ in range(rnd.choice((1, 10, 100))):
                    bad[rnd.randrange(len(bad))] = rnd.randrange(256)
            with open(db + "/data.mdb", "wb") as f:
                f.write(bad)
            r = subprocess.run([SLUICE, "store", "verify", db, "--key", key], capture_output=True, timeout=60,
                               env={"ASAN_OPTIONS": "handle_segv=0:handle_sigbus=0:handle_abort=0:detect_leaks=0"})
            codes.append(r.returncode)
            self.assertIn(r.returncode, (0, 1, 3), r.stderr)
        self.assertGreater(codes.count(3), DAMAGES // 4)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
