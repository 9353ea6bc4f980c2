"""tools/bench pgbench: PostgreSQL reached directly, through PgBouncer, through HAProxy (TCP mode) and through Sluice, side by
side in one run.

Each peer stands at the same place, the gateway's namespace, pinned to the last core; PostgreSQL and pgbench share the first.
TLS is on everywhere: PgBouncer and Sluice end it on both sides, HAProxy passes it on.
"""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from .base import FIRST, LAST, ROOT

os.environ.setdefault("LAB_PREFIX", "slbench")
os.environ["LAB_BENCH"] = "1"
BUILD = os.environ.setdefault("LAB_BUILD", f"{ROOT}/build")
PREFIX = os.environ["LAB_PREFIX"]
DIR = f"/var/lib/sluice-lab/{PREFIX}"
TICK = os.sysconf("SC_CLK_TCK")

# name -> where pgbench connects, as which user
PEERS = {
    "direct": ("10.99.5.1", 5432, "shop_app"),
    "pgbouncer": ("10.99.3.1", 6432, "shop_app"),
    "haproxy": ("10.99.3.1", 6433, "shop_app"),
    "sluice": ("10.99.1.1", 5432, "bench"),
}
STATEMENTS = {"select": 1, "tpcb": 7}  # of one transaction


def lab(*args, **env):
    done = subprocess.run([f"{ROOT}/tools/lab/lab", *args], capture_output=True, text=True, env={**os.environ, **env}, check=False)
    if done.returncode:
        sys.exit(f"lab {' '.join(args)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def password():
    with open(f"{DIR}/shop_app.password", encoding="ascii") as f:
        return f.read().strip()


def write(name, text, mode=0o644):
    with open(name, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(name, mode)


# ---- the peers ----

def pgbouncer(work):
    write(f"{work}/users.txt", f'"shop_app" "{password()}"\n')
    write(f"{work}/pgbouncer.ini", f"""[databases]
bench = host=10.99.4.2 port=5432 dbname=bench
[pgbouncer]
listen_addr = 10.99.3.1
listen_port = 6432
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {work}/users.txt
pool_mode = session
max_client_conn = 500
default_pool_size = 100
client_tls_sslmode = require
client_tls_cert_file = {work}/peer.pem
client_tls_key_file = {work}/peer.key
server_tls_sslmode = require
log_connections = 0
log_disconnections = 0
""")
    # It does not run as root; what it reads is in a folder that only this run sees.
    return ["runuser", "-u", "postgres", "--", "pgbouncer", f"{work}/pgbouncer.ini"]


def haproxy(work):
    write(f"{work}/haproxy.cfg", """global
    maxconn 2000
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 10m
    timeout server 10m
listen postgres
    bind 10.99.3.1:6433
    server target 10.99.4.2:5432
""")
    return ["haproxy", "-db", "-f", f"{work}/haproxy.cfg"]


def start(command):
    return subprocess.Popen(["ip", "netns", "exec", f"{PREFIX}-gw", "taskset", "-c", str(LAST), *command],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def family(pid):
    """A process and what it has started."""
    pids = [pid]
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="ascii", errors="replace") as f:
                parts = f.read().rsplit(")", 1)
            if int(parts[1].split()[1]) == pid:
                pids += family(int(path.split("/")[2]))
        except (OSError, IndexError, ValueError):
            continue
    return pids


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                parts = f.read().rsplit(")", 1)[1].split()
            total += int(parts[11]) + int(parts[12])
        except OSError:
            continue
    return total / TICK


def core_seconds(core):
    """Busy and softirq seconds of a core since boot."""
    with open("/proc/stat", encoding="ascii") as f:
        for line in f:
            if line.startswith(f"cpu{core} "):
                v = [int(x) / TICK for x in line.split()[1:9]]
                return sum(v) - v[3] - v[4], v[6]
    return 0.0, 0.0


def built(*targets):
    """Makes what is not there yet."""
    if all(os.path.exists(f"{BUILD}/{t}") for t in targets):
        return
    if not os.path.exists(f"{BUILD}/build.ninja"):
        subprocess.run(["meson", "setup", BUILD, ROOT, "--buildtype=release"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", BUILD, "build.ninja"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", BUILD, *targets], check=True)


# ---- one measurement ----

def pgbench(name, args, work, seconds, log):
    host, port, user = PEERS[name]
    secret = lab("token", "bench") if name == "sluice" else password()
    command = ["ip", "netns", "exec", f"{PREFIX}-client", "taskset", "-c", str(FIRST), "pgbench", "-n", "-h", host, "-p", str(port), "-U", user,
               "-c", str(args.clients), "-j", "1", "-T", str(seconds), "-M", args.mode]
    command += ["-S"] if args.script == "select" else []
    command += ["-l", f"--log-prefix={work}/log"] if log else []
    done = subprocess.run(command + ["bench"], capture_output=True, text=True, check=False, timeout=seconds + 60,
                          env={**os.environ, "PGPASSWORD": secret, "PGSSLMODE": "require"})
    if done.returncode or "failed transactions: 0 " not in done.stdout:
        sys.exit(f"pgbench against {name} failed:\n{done.stdout}{done.stderr}")
    return float(re.search(r"tps = ([\d.]+)", done.stdout).group(1))


def latencies(work):
    got = []
    for name in glob.glob(f"{work}/log.*"):
        with open(name, encoding="ascii") as f:
            got += [int(line.split(" ", 3)[2]) for line in f]
        os.unlink(name)
    got.sort()
    return got


def measure(name, args, work):
    process, pids = None, []
    if name == "pgbouncer":
        process = start(pgbouncer(work))
    elif name == "haproxy":
        process = start(haproxy(work))
    elif name == "sluice":
        lab("gateway", "start", GW_CORE=str(LAST))
        with open(f"{DIR}/gw/pid", encoding="ascii") as f:
            pids = family(int(f.read()))
    try:
        if process:
            time.sleep(1)
            if process.poll() is not None:
                sys.exit(f"{name} does not start: {process.stderr.read().decode()}")
            pids = family(process.pid)
        pgbench(name, args, work, 2, False)  # warm
        cpu, (busy, soft) = cpu_seconds(pids), core_seconds(LAST)
        began = time.monotonic()
        tps = pgbench(name, args, work, args.seconds, True)
        took = time.monotonic() - began
        busy_now, soft_now = core_seconds(LAST)
        lat = latencies(work)
        n = max(1, len(lat) * STATEMENTS[args.script])
        return {"name": name, "tps": tps, "p50_us": lat[len(lat) // 2], "p99_us": lat[int(len(lat) * 0.99)], "transactions": len(lat),
                "cpu_us": (cpu_seconds(pids) - cpu) * 1e6 / n if pids else None,
                "softirq_us": (soft_now - soft) * 1e6 / n, "core_busy": (busy_now - busy) / took}
    finally:
        if process:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)
        if name == "sluice":
            lab("gateway", "stop")


def show(results, args):
    print(f"\npgbench, {args.script}, {args.mode}, {args.clients} clients, {args.seconds} s each, scale 10; per statement: CPU of the peer itself, "
          f"and softirq time of its core")
    print(f"{'':10} {'TPS':>9} {'p50 ms':>8} {'p99 ms':>8} {'CPU us':>8} {'softirq us':>11} {'core busy':>10}")
    for r in results:
        cpu = f"{r['cpu_us']:8.1f}" if r["cpu_us"] is not None else f"{'-':>8}"
        print(f"{r['name']:10} {r['tps']:9.0f} {r['p50_us'] / 1000:8.2f} {r['p99_us'] / 1000:8.2f} {cpu} {r['softirq_us']:11.1f} {r['core_busy']:10.0%}")


def main(args):
    names = args.only.split(",") if args.only else list(PEERS)
    if set(names) - set(PEERS):
        sys.exit("--only: " + ",".join(PEERS))
    subprocess.run([f"{ROOT}/tools/lab/setup", "lab", "bench"], check=True)
    if "sluice" in names:
        built("app/sluiced", "tools/sluice/sluice")
    work = tempfile.mkdtemp(prefix="sluice-bench.")
    results = []
    try:
        lab("up")
        for end in ("pem", "key"):
            shutil.copy(f"{DIR}/pki/listener.{end}", f"{work}/peer.{end}")
        subprocess.run(["chown", "-R", "postgres", work], check=True)
        with open(f"{DIR}/pg/data/postmaster.pid", encoding="ascii") as f:
            subprocess.run(["taskset", "-apc", str(FIRST), f.readline().strip()], check=True, stdout=subprocess.DEVNULL)
        lab("direct", "pgbench", "-i", "-q", "-s", "10", "bench")
        for name in names:
            print(f"{name} ...", flush=True)
            results.append(measure(name, args, work))
    finally:
        lab("down")
        shutil.rmtree(work, ignore_errors=True)
    show(results, args)
    return {"options": vars(args), "results": results}
