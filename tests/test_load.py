"""Load through the gateway: many clients, much data, more than one worker, and the same bytes in the end."""
import hashlib
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from labtest import (CA, CLIENT, LISTENER, admin, api_ok, check, contains, direct, gateway_start, lab, records, run, same, session, sessions,
                     sluice, test, token)
from pgwire import query

SECONDS = int(os.environ.get("PGBENCH_SECONDS", "20"))
ROWS_100MB = 100_000  # of about 1,050 bytes


def prepare(scale):
    direct("pgbench", "-i", "-q", "-s", str(scale), "bench")


def through_gateway(*args, timeout=None):
    env = {"PGPASSWORD": token("bench"), "PGSSLMODE": "verify-full", "PGSSLROOTCERT": CA}
    return run(["ip", "netns", "exec", CLIENT, args[0], "-h", LISTENER[0], "-p", str(LISTENER[1]), "-U", "bench", *args[1:], "bench"],
               env=env, timeout=timeout or SECONDS + 60).stdout


def balanced(what):
    """What TPC-B asks for: the sums of all balances agree with the history, and no row is lost."""
    a, b, t, h, n = admin("select (select sum(abalance) from pgbench_accounts), (select sum(bbalance) from pgbench_branches), "
                          "(select sum(tbalance) from pgbench_tellers), (select coalesce(sum(delta), 0) from pgbench_history), "
                          "(select count(*) from pgbench_accounts)", "bench").split("|")
    same((a, b, t), (h, h, h), f"sums of balances after {what}")
    same(int(n) % 100000, 0, f"accounts after {what}")


def pgbench(mode, workers=1):
    prepare(4)
    out = through_gateway("pgbench", "-n", "-c", "16", "-j", "2", "-T", str(SECONDS), "-M", mode)
    contains(out, "number of failed transactions: 0 (0.000%)", "pgbench")
    done = int(re.search(r"number of transactions actually processed: (\d+)", out).group(1))
    print(re.search(r"tps = [\d.]+", out).group(0), end=" ", flush=True)
    # One history row for one transaction that pgbench was told of.
    same(int(admin("select count(*) from pgbench_history", "bench")), done, "rows of the history")
    balanced(f"pgbench -M {mode}, {workers} workers")
    check(done > SECONDS, f"only {done} transactions in {SECONDS} s")


@test
def pgbench_simple():
    pgbench("simple")


@test
def pgbench_extended():
    pgbench("extended")


@test
def pgbench_prepared():
    pgbench("prepared")


def digest():
    """Of all rows of all four tables; the history without its wall time."""
    parts = [admin(f"select md5(string_agg({row}::text, e'\\n' order by {order})) from {table}", "bench") for table, row, order in (
        ("pgbench_accounts t", "t", "aid"), ("pgbench_branches t", "t", "bid"), ("pgbench_tellers t", "t", "tid"),
        ("pgbench_history", "(tid, bid, aid, delta)", "ctid"))]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


@test
def pgbench_digest_equals_direct():
    """One client with a fixed seed does the same transactions both ways: every row must be the same in the end."""
    for mode in ("simple", "extended", "prepared"):
        seeded = ("-n", "-c", "1", "-t", "300", "--random-seed=20261121", "-M", mode)
        prepare(1)
        direct("pgbench", *seeded, "bench")
        want = digest()
        prepare(1)
        through_gateway("pgbench", *seeded)
        same(digest(), want, f"the digest of the tables, {mode}")


def sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            h.update(block)
    return h.hexdigest()


@test
def copy_100mb_each_way():
    base = f"/var/lib/sluice-lab/{os.environ['LAB_PREFIX']}/copy"
    try:
        admin("drop table if exists big, big2", "bench")
        direct("psql", "-X", "-q", "-d", "bench", "-c",
               f"create table big as select i, repeat(md5(i::text), 32) as t, random() as r from generate_series(1, {ROWS_100MB}) i",
               "-c", "create table big2 (like big)", "-c", f"\\copy big to '{base}.direct'")
        check(os.path.getsize(f"{base}.direct") >= 100 << 20, f"only {os.path.getsize(base + '.direct')} bytes")
        through_gateway("psql", "-X", "-q", "-c", f"\\copy big to '{base}.gateway'", timeout=300)
        same(sha256(f"{base}.gateway"), sha256(f"{base}.direct"), "COPY TO through the gateway")
        through_gateway("psql", "-X", "-q", "-c", f"\\copy big2 from '{base}.direct'", timeout=300)
        direct("psql", "-X", "-q", "-d", "bench", "-c", f"\\copy big2 to '{base}.back'")
        same(sha256(f"{base}.back"), sha256(f"{base}.direct"), "COPY FROM through the gateway")
    finally:
        admin("drop table if exists big, big2", "bench")
        for end in ("direct", "gateway", "back"):
            if os.path.exists(f"{base}.{end}"):
                os.unlink(f"{base}.{end}")


RULES = 10_000


def many_rules(documents, name):
    """The current policy and 10,000 rules of which the last denies reading the table `either` and says which version it is of."""
    form = "kind: Rule\nversion: 1\nmetadata: {{name: {}}}\nspec: {{action: deny, relations: [{}]{}}}\n"
    rules = [form.format(f"r{i}", f"private.t{i}", "") for i in range(RULES - 1)]
    return "\n---\n".join([documents, *rules, form.format(f"both-{name}", "either", f", message: version {name}")])


@test
def reload_of_10000_rules_under_load():
    """D10. Under a second each; no statement of the load is lost, and each is judged by one version, which its record names."""
    prepare(4)
    current = api_ok("admin", "GET", "/v1/policies/current")["documents"]
    documents = current if isinstance(current, str) else "\n---\n".join(d if isinstance(d, str) else d["text"] for d in current)
    texts, rule_of, took = [many_rules(documents, name) for name in "AB"], {}, []
    seconds, answers, over = 9, [], threading.Event()

    def ask():
        with session("bench", "bench", application_name="asks") as w:
            while not over.is_set():
                w.send(query("select 1 from either"))
                answers.append(str(w.until("Z")))

    with ThreadPoolExecutor(2) as pool:
        load = pool.submit(through_gateway, "pgbench", "-n", "-c", "8", "-j", "1", "-T", str(seconds), "-M", "prepared")
        try:
            rule_of[api_ok("admin", "POST", "/v1/policies", texts[1])["version"]] = "both-B"
            asking = pool.submit(ask)
            for i in range(6):
                began = time.monotonic()
                version = api_ok("admin", "POST", "/v1/policies", texts[i % 2])["version"]
                took.append(time.monotonic() - began)
                rule_of[version] = f"both-{'AB'[i % 2]}"
                time.sleep(0.5)
            over.set()
            asking.result()
            out = load.result()
        finally:
            over.set()
            api_ok("admin", "POST", "/v1/policies", documents)
    contains(out, "number of failed transactions: 0 (0.000%)", "pgbench")
    done = int(re.search(r"number of transactions actually processed: (\d+)", out).group(1))
    same(int(admin("select count(*) from pgbench_history", "bench")), done, "rows of the history")
    balanced("reloads")
    check(all("version A" in a or "version B" in a for a in answers), f"an answer of no version: {[a for a in answers if 'version' not in a][:3]}")
    mine = next(s for s in sessions(20) if api_ok("noc", "GET", f"/v1/sessions/{s['id']}/records?limit=1")["records"][0].get("app") == "asks")
    judged = [(r["policy_version"], r["rule"]) for r in records(mine["id"])
              if r["kind"] == "command" and r.get("rule", "").startswith("both-")]
    check(len(judged) == len(answers), f"{len(judged)} records of {len(answers)} statements")
    check(all(rule_of[v] == rule for v, rule in judged), "a record names another version than its rule is of")
    check(len({v for v, _ in judged}) > 3, f"versions that judged: {set(judged)}")
    print(f"{max(took):.2f} s at most, {len(answers)} asked", end=" ", flush=True)
    check(max(took) < 1, f"a reload took {max(took):.2f} s: {took}")


@test
def records_verify_after_load():
    sluice("noc", "sessions", "verify")


@test
def idle_gateway_rests():
    """Adaptive polling: under 2 % of a core when there is nothing to do."""
    from labtest import gateway_pid  # pylint: disable=import-outside-toplevel

    def ticks():
        with open(f"/proc/{gateway_pid()}/stat", encoding="ascii") as f:
            parts = f.read().rsplit(")", 1)[1].split()
        return int(parts[11]) + int(parts[12])

    time.sleep(2)
    began, before = time.monotonic(), ticks()
    time.sleep(5)
    share = (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
    print(f"{share:.1%} of a core", end=" ", flush=True)
    check(share < 0.02, f"idle, it uses {share:.1%} of a core")


@test
def two_workers_with_hand_off():
    lab("gateway", "stop")
    try:
        gateway_start(GW_WORKERS=2)
        pgbench("prepared", workers=2)
    finally:
        lab("gateway", "stop")
        gateway_start()
    sluice("noc", "sessions", "verify")
