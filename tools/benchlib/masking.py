"""A result of ten columns on its way to one client: through HAProxy and through sluice-stack's relay, which pass bytes, and through Sluice
with none, one, three and all of its columns masked, and with all detectors on all text. Then what inspection alone costs: a row, a masked
field, detectors beside the raw pattern engine over the same bytes, and the texts that make the most work.

The peer has the last core alone; PostgreSQL and the client share the first. TLS is on everywhere: Sluice ends it on both sides, HAProxy
and the relay pass it on. HAProxy has the kernel's segmentation on its wires, the relay the same ports and TCP as Sluice.
"""
import base64
import hashlib
import hmac
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from . import base
from .pgbench import DIR, PREFIX, built, cpu_seconds, family, haproxy, lab, password, start

sys.path.insert(0, f"{base.ROOT}/tests")
import pgwire  # noqa: E402  pylint: disable=wrong-import-position

MASKED = {"none masked": 0, "1 masked": 1, "3 masked": 3, "10 masked": 10, "all detectors": None}
FRAME = 1 << 18


def resource(name):
    return "wide-" + name.split()[0]


def policy():
    """Documents for the lab's gateway: the same target under a name for each case."""
    docs = []
    for name, n in MASKED.items():
        docs.append(f"""kind: Resource
version: 1
metadata: {{name: {resource(name)}}}
spec: {{protocol: postgres, address: "@TARGET@:5432", credential: shop-app, databases: [bench], tls: {{caFile: "@CA@"}}}}""")
        what = 'detectors: ["*"]' if n is None else f"columns: [{', '.join(f'wide.f{i}' for i in range(1, n + 1))}]"
        if n != 0:
            docs.append(f"""kind: Mask
version: 1
metadata: {{name: {resource(name)}}}
spec: {{action: redact, resources: [{resource(name)}], {what}}}""")
    docs.append("""kind: Role
version: 1
metadata: {name: wide}
spec: {groups: [bench], resources: ["wide-*"], databases: ["*"], allow: [any]}""")
    return "---\n" + "\n---\n".join(docs) + "\n"


def table(rows):
    columns = ", ".join(f"f{i} text" for i in range(1, 11))
    values = ", ".join(f"substr(md5((g * {i})::text), 1, 20)" for i in range(1, 11))
    return f"drop table if exists wide; create table wide ({columns}); insert into wide select {values} from generate_series(1, {rows}) g; analyze wide"


class Client:
    """Reads results as fast as they come and looks at nothing but the end."""

    def __init__(self, address, user, secret):
        os.sched_setaffinity(0, {base.FIRST})
        self.wire = pgwire.Wire(f"{PREFIX}-client", address, f"{DIR}/pki/ca.pem", 60)
        if user == "shop_app":
            self._scram(secret)
        else:
            self.wire.login(user, "bench", secret)
        self.sock = self.wire.sock

    def _scram(self, secret):
        """RFC 5802 without channel binding, as the target asks for behind HAProxy."""
        self.wire.host = "10.99.2.2"  # as the target's certificate has it
        w, nonce = self.wire, base64.b64encode(os.urandom(18)).decode()
        w.start_tls()
        w.send(pgwire.startup({"user": "shop_app", "database": "bench"}))
        w.until("R")
        first = f"n=,r={nonce}"
        body = f"n,,{first}".encode()
        w.send(pgwire.message("p", pgwire.cstr("SCRAM-SHA-256") + len(body).to_bytes(4, "big") + body))
        server = w.until("R")[-1][1][4:].decode()
        part = dict(p.split("=", 1) for p in server.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), base64.b64decode(part["s"]), int(part["i"]))
        final = f"c=biws,r={part['r']}"
        key = hmac.digest(salted, b"Client Key", "sha256")
        sign = hmac.digest(hashlib.sha256(key).digest(), f"{first},{server},{final}".encode(), "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, sign))).decode()
        w.send(pgwire.message("p", f"{final},p={proof}".encode()))
        w.ready()

    def read(self, sql):
        """(seconds, bytes) of one result."""
        began, total, buffer = time.perf_counter(), 0, bytearray(FRAME)
        self.sock.sendall(pgwire.query(sql))
        tail = b""
        while not tail.endswith(pgwire.message("Z", b"I")):
            n = self.sock.recv_into(buffer)
            if n == 0:
                sys.exit("the connection ended inside a result")
            total += n
            tail = (tail + bytes(buffer[max(0, n - 6):n]))[-6:]
        return time.perf_counter() - began, total


def through(name, address, user, secret, pids, seconds):
    """Seconds of results, as many as fit; what share of its core the peer had."""
    client = Client(address, user, secret)
    _, n = client.read("select * from wide")  # warm
    began, cpu, got = time.monotonic(), cpu_seconds(pids), []
    while time.monotonic() < began + seconds or len(got) < 3:
        got.append(client.read("select * from wide")[0])
    cpu = (cpu_seconds(pids) - cpu) / (time.monotonic() - began)
    client.wire.close()
    return {"name": name, "seconds": got, "bytes": n, "cpu": cpu}


def relay():
    """sluice-stack in the gateway's place: the same ports and TCP, and bytes passed on unread."""
    eal = ["--no-huge", "-m", "512", f"--file-prefix={PREFIX}-relay"]
    ports = []
    for port, side in zip(base.PORTS, ("gw_client", "gw_target")):
        ports += ["--port", f"{port}={base.IP[4][side]}/24"]
    listen = ["--listen", f"relay,{base.IP[4]['gw_client']}:5432,{base.IP[4]['target']}:5432"]
    return base.Stack("serve", [*ports, *listen], eal, netns=f"{PREFIX}-gw").ready()


def haproxy_round(args, work):
    process = start(haproxy(work))
    try:
        time.sleep(1)
        return through("haproxy", ("10.99.3.1", 6433), "shop_app", password(), family(process.pid), args.seconds)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def relay_round(args):
    stack = relay()
    try:
        return through("relay", (base.IP[4]["gw_client"], 5432), "shop_app", password(), family(stack.process.pid), args.seconds)
    finally:
        stack.stop()


def gateway_round(args):
    lab("gateway", "start", GW_CORE=str(base.LAST))
    with open(f"{DIR}/gw/pid", encoding="ascii") as f:
        pids = family(int(f.read()))
    try:
        return [through(f"sluice, {name}", ("10.99.1.1", 5432), resource(name), lab("token", "bench"), pids, args.seconds) for name in MASKED]
    finally:
        lab("gateway", "stop")


def measure(args, work):
    """All in turn, round by round, so that what else the machine does meets all of them; of each the median of all its results."""
    results = {}
    for i in range(args.rounds):
        print(f"round {i + 1} ...", flush=True)
        got = [through("direct", ("10.99.5.1", 5432), "shop_app", password(), [], args.seconds), haproxy_round(args, work), relay_round(args),
               *gateway_round(args)]
        for r in got:
            results.setdefault(r["name"], []).append(r)
    return [{"name": name, "seconds": statistics.median([x for r in rounds for x in r["seconds"]]), "bytes": rounds[0]["bytes"],
             "runs": sum(len(r["seconds"]) for r in rounds), "rounds": [statistics.median(r["seconds"]) for r in rounds],
             "cpu": statistics.median([r["cpu"] for r in rounds])} for name, rounds in results.items()]


def program(name, rounds):
    """Its lines of JSON, of each figure the median of some runs."""
    runs = [[json.loads(line) for line in subprocess.run(["taskset", "-c", str(base.LAST), f"{base.build_dir()}/tools/policy/{name}", "0.05"], check=True,
                                                         capture_output=True, text=True).stdout.splitlines()] for _ in range(rounds)]
    return [{k: statistics.median([r[i][k] for r in runs]) if isinstance(v, (int, float)) else v for k, v in line.items()}
            for i, line in enumerate(runs[0])]


def show_rows(rows, content):
    """What inspection alone costs, without ports, TCP and TLS."""
    none = next(r["ns"] for r in rows if r["fields"] == 0)
    print(f"\nin the decoder, rows of ten columns of 20 characters: {none:.0f} ns for a row that nobody masks; masked:")
    print(f"{'':26} {'1 field':>9} {'3':>9} {'10':>9} {'ns for one of ten':>18}")
    for name in dict.fromkeys(r["row"] for r in rows if r["fields"] and r["row"].find("detectors") < 0):
        ns = {r["fields"]: r for r in rows if r["row"] == name}
        print(f"{name:26} " + " ".join(f"{ns[k]['ns']:9.0f}" for k in (1, 3, 10)) + f" {ns[10]['field_ns']:18.0f}")
    for r in rows:
        if "detectors" in r["row"]:
            print(f"{r['row']:26} {'':9} {'':9} {r['ns']:9.0f} {r['field_ns']:18.0f}")
    print("\nall detectors on texts; raw: the pattern engine alone, value by value, and over all of a row at once")
    print(f"{'':26} {'bytes':>6} {'raw':>7} {'raw row':>8} {'by value':>9} {'by row':>7} Gbit/s   of raw   of raw row")
    for name in dict.fromkeys(r["row"] for r in content):
        of = {r["content"]: r for r in content if r["row"] == name}
        row = of["detectors row"]
        print(f"{name:26} {row['bytes']:6.0f} {of['raw']['gbps']:7.2f} {of['raw row']['gbps']:8.2f} {of['detectors']['gbps']:9.2f} {row['gbps']:7.2f} "
              f"{'':6} {row['of_raw']:7.2f} {row['of_raw_row']:12.2f}")


def show_near(near):
    """The texts that make the most work."""
    print(f"\ntexts of {near[0]['bytes']} bytes, full of what nearly is a find: ns of a byte; raw: the pattern engine alone")
    for r in sorted(near, key=lambda r: -r["ns_byte"]):
        print(f"{r['near']:26} {r['ns_byte']:7.1f} raw {r['raw_ns_byte']:6.1f}")


def main(args):
    subprocess.run([f"{base.ROOT}/tools/lab/setup", "lab", "bench"], check=True)
    built("app/sluiced", "tools/sluice/sluice", "tools/stack/sluice-stack", "tools/policy/row_bench", "tools/policy/mask_bench")
    rows, masks = program("row_bench", 3), program("mask_bench", 3)
    content, near = [r for r in masks if "content" in r], [r for r in masks if "near" in r]
    work = tempfile.mkdtemp(prefix="sluice-bench.")
    try:
        with open(f"{work}/policy.yaml", "w", encoding="utf-8") as f:
            f.write(policy())
        os.environ["LAB_POLICY"] = f"{work}/policy.yaml"
        lab("up")
        with open(f"{DIR}/pg/data/postmaster.pid", encoding="ascii") as f:
            subprocess.run(["taskset", "-apc", str(base.FIRST), f.readline().strip()], check=True, stdout=subprocess.DEVNULL)
        lab("direct", "psql", "-q", "-d", "bench", "-c", table(args.rows))
        shutil.chown(work, "postgres")
        results = measure(args, work)
    finally:
        lab("down")
        shutil.rmtree(work, ignore_errors=True)
    said = results[0]["bytes"]  # by the target: a masked result is shorter
    print(f"\n{args.rows} rows of ten columns of 20 characters, {said / 1e6:.0f} MB, one client; medians of {args.rounds} rounds")
    print(f"{'':26} {'Gbit/s':>8} {'of haproxy':>11} {'of relay':>9} {'peer busy':>10}   Gbit/s by round")
    for r in results:
        r["gbit_s"] = said * 8 / r["seconds"] / 1e9
        print(f"{r['name']:26} {r['gbit_s']:8.2f} {results[1]['seconds'] / r['seconds']:10.2f}x {results[2]['seconds'] / r['seconds']:8.2f}x {r['cpu']:10.0%}   "
              + " ".join(f"{said * 8 / x / 1e9:.2f}" for x in r["rounds"]))
    show_rows(rows, content)
    show_near(near)
    return {"results": results, "rows": rows, "content": content, "near": near}
