"""tools/bench idle: what a gateway costs that has many sessions and nothing to do, and how fast it wakes up.

The sessions are real ones: token, policy, records, a login at the target. The target knows one answer, as a server with so many
processes does not fit on one machine; TLS is off on both sides, as it plays no part in idleness.
"""
import contextlib
import glob
import json
import os
import subprocess
import tempfile
import time

from . import base
from .base import FIRST, HERE, ROOT, Broken, say

PREFIX = os.environ.get("LAB_PREFIX", "slidle")
DIR = f"/var/lib/sluice-lab/{PREFIX}"
TICK = os.sysconf("SC_CLK_TCK")
TARGET, LISTENER, ECHO_PORT = ("10.99.2.2", 5433), ("10.99.1.1", 5433), 7007
CONTROL = {"client": "10.99.7.2", "gw": "10.99.7.1", "port": 7008}  # a wire of its own between two kernels
ASKED, ECHOED = 100, 600
GAP_S = 0.05  # between two first requests: long enough for the gateway to rest again
NAP_S = 0.004  # the same, in turn with the control: the gateway looks for timers and messages from time to time, and does not rest yet
LIMIT_SHARE = 0.02
LIMIT_FIRST_US = 1000  # of each first packet after idleness, by the echo service
LIMIT_NAP = 2  # times what the kernels take, median

POLICY = """---
kind: Resource
version: 1
metadata:
  name: idle
spec:
  protocol: postgres
  address: "@TARGET@:5433"
  credential: shop-app
  databases: [idle]
  tls:
    mode: "off"
---
kind: Role
version: 1
metadata:
  name: idler
spec:
  groups: [bench]
  resources: [idle]
  databases: ["*"]
  allow: [read]
"""


def threads(pid):
    """Thread -> ticks of user and system time."""
    out = {}
    for name in glob.glob(f"/proc/{pid}/task/*/stat"):
        with open(name, encoding="ascii", errors="replace") as f:
            head, rest = f.read().rsplit(")", 1)
        parts = rest.split()
        out[f"{head.split('(', 1)[1]}/{name.split('/')[4]}"] = int(parts[11]) + int(parts[12])
    return out


def shares(pid, seconds):
    """Thread -> share of a core."""
    before, began = threads(pid), time.monotonic()
    time.sleep(seconds)
    after, took = threads(pid), time.monotonic() - began
    return {name: (ticks - before.get(name, 0)) / TICK / took for name, ticks in after.items()}


class Lab:
    """The gateway has room to spare: the last places are kept free of logins that wait (docs/limits.md)."""

    def __init__(self, work, sessions, keepalive):
        policy = f"{work}/policy.yaml"
        with open(policy, "w", encoding="utf-8") as f:
            f.write(POLICY)
        self.env = {**os.environ, "LAB_PREFIX": PREFIX, "LAB_BUILD": base.build_dir(), "LAB_POLICY": policy, "GW_CLEAR": str(LISTENER[1]), "GW_ECHO": str(ECHO_PORT),
                    "GW_SESSIONS": str(sessions + sessions // 16 + 64), "GW_TCP": f"keepAlive: {keepalive}s"}
        self.peers = []

    def lab(self, *args):
        done = subprocess.run([f"{ROOT}/tools/lab/lab", *args], capture_output=True, text=True, env=self.env, check=False)
        if done.returncode:
            raise Broken(f"lab {' '.join(args)}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def __enter__(self):
        self.lab("up")
        self.lab("gateway", "start")
        self.control_wire()
        return self

    def control_wire(self):
        """A pair of veth as the gateway's; who answers stands on the worker's core."""
        ip = ["ip", "-n", f"{PREFIX}-client"]
        subprocess.run([*ip, "link", "add", "control", "type", "veth", "peer", "name", "control", "netns", f"{PREFIX}-gw"], check=True)
        for end in ("client", "gw"):
            ip = ["ip", "-n", f"{PREFIX}-{end}"]
            subprocess.run([*ip, "address", "add", f"{CONTROL[end]}/24", "dev", "control"], check=True)
            subprocess.run([*ip, "link", "set", "control", "up"], check=True)

    def __exit__(self, *_):
        for p in self.peers:
            p.kill()
            p.wait()
        self.lab("down")

    def peer(self, end, *args, what=None, core=FIRST):
        p = subprocess.Popen(["ip", "netns", "exec", f"{PREFIX}-{end}", "taskset", "-c", str(core), "/usr/bin/python3",
                              f"{HERE}/idle_peer.py", what or end, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.peers.append(p)
        return p

    def pid(self):
        with open(f"{DIR}/gw/pid", encoding="ascii") as f:
            return int(f.read())


@contextlib.contextmanager
def isolated():
    """The worker's core as docs/install.md wants it: without what of Linux can be moved."""
    done = subprocess.run([f"{ROOT}/tools/isolate", f"{FIRST}-{base.LAST - 1}"], check=True, stdout=subprocess.PIPE, text=True)
    say(f"Linux: {done.stdout.strip()}")
    try:
        yield
    finally:
        subprocess.run([f"{ROOT}/tools/isolate", "--undo"], check=True)


def tell(client, *words):
    client.stdin.write(" ".join(str(w) for w in words) + "\n")
    client.stdin.flush()
    line = client.stdout.readline()
    if not line:
        raise Broken("the client has ended")
    return json.loads(line)


def quantiles(us):
    return {"p50": us[len(us) // 2], "p99": us[len(us) * 99 // 100], "max": us[-1]}


def echoes(client, watch, gap):
    """What the client saw, and what was seen at the gateway's interface and at the control's."""
    seen = tell(client, "echo", ECHO_PORT, CONTROL["gw"], CONTROL["port"], ECHOED, gap)
    own, kernel = tell(watch, "take")
    if min(len(own), len(kernel)) < ECHOED:
        raise Broken(f"{len(own)} and {len(kernel)} of {ECHOED} answers were seen at the interfaces")
    return seen, own, kernel


def run(lab, sessions, seconds):
    lab.peer("target", *(str(x) for x in TARGET)).stdout.readline()
    lab.peer("gw", CONTROL["gw"], str(CONTROL["port"]), what="control", core=base.LAST).stdout.readline()
    watch = lab.peer("gw", "c0", str(ECHO_PORT), "control", str(CONTROL["port"]), what="watch")
    watch.stdout.readline()
    client = lab.peer("client", *(str(x) for x in LISTENER), lab.lab("token", "bench"))
    opened = tell(client, "connect", sessions)
    if opened["open"] != sessions:
        raise Broken(f"sessions: {opened}\n{base.tail(DIR + '/gw/log')}")
    time.sleep(3)
    share = shares(lab.pid(), seconds)
    time.sleep(5)
    first = tell(client, "ask", ASKED, GAP_S)["us"]
    busy = tell(client, "ask", ASKED, 0)["us"]
    time.sleep(2)
    echo, own, kernel = echoes(client, watch, GAP_S)
    _, nap_own, nap_kernel = echoes(client, watch, NAP_S)
    echo_busy, _, _ = echoes(client, watch, 0)
    return {"name": "idle", "sessions": sessions, "open_s": opened["seconds"], "share": share, "total": sum(share.values()),
            "first_us": quantiles(first), "busy_us": quantiles(busy), "first_echo_us": quantiles(echo["us"]), "busy_echo_us": quantiles(echo_busy["us"]),
            "first_own_us": quantiles(own), "first_kernel_us": quantiles(kernel), "nap_own_us": quantiles(nap_own), "nap_kernel_us": quantiles(nap_kernel), "first_control_us": quantiles(echo["control_us"]), "busy_control_us": quantiles(echo_busy["control_us"])}


def main(args):
    base.setup("lab", "bench")
    with isolated(), tempfile.TemporaryDirectory(prefix="sluice-idle.") as work:
        try:
            with Lab(work, args.sessions, args.keepalive) as lab:
                r = run(lab, args.sessions, args.seconds)
        except Broken as e:
            r = {"name": "idle", "failed": str(e)}
    if "total" in r:
        say(f"{r['sessions']} sessions, opened in {r['open_s']:.1f} s, keep-alive each {args.keepalive} s: {r['total']:.2%} of a core over "
            f"{args.seconds} s (" + ", ".join(f"{n.split('/')[0]} {s:.2%}" for n, s in sorted(r["share"].items()) if s > 0) + ")")
        for name, what in (("first_us", "first request after idleness"), ("busy_us", "requests one behind the other"),
                           ("first_own_us", "first byte after idleness, from the gateway's interface to the echo service and back there"),
                           ("first_kernel_us", "the same for an echo through the kernel, in turn"),
                           ("nap_own_us", f"a byte {2000 * NAP_S:.0f} ms after the last one, there"), ("nap_kernel_us", "and through the kernel"),
                           ("first_echo_us", "first byte after idleness as the client sees it, which was asleep itself"), ("busy_echo_us", "bytes one behind the other"),
                           ("first_control_us", "the client's first byte to the echo through the kernel"), ("busy_control_us", "one behind the other")):
            say(f"{what}: p50 {r[name]['p50']:.0f} us, p99 {r[name]['p99']:.0f} us, max {r[name]['max']:.0f} us")
        if r["total"] > LIMIT_SHARE:
            r["failed"] = f"{r['total']:.2%} of a core"
        if r["first_own_us"]["max"] > LIMIT_FIRST_US:
            r["failed"] = f"a first byte after idleness took {r['first_own_us']['max']:.0f} us"
        if r["nap_own_us"]["p50"] > LIMIT_NAP * r["nap_kernel_us"]["p50"]:
            r["failed"] = f"a byte a few ms after the last one takes {r['nap_own_us']['p50']:.0f} us, the kernels {r['nap_kernel_us']['p50']:.0f} us"
    if "failed" in r:
        say(f"failed: {r['failed']}")
    return {"results": [r]}
