"""Session credentials: made against a token, proved by real clients, ended by time, by their owner, by an operator."""
import os
import re
import subprocess
import tempfile
import time

from labtest import (CA, CLIENT, DIR, LISTENER, ROOT, admin, api, api_ok, check, contains, eventually, finish, gateway_log, gateway_pid,
                     gateway_start, lab, latest, live, marker, pending, psql, psql_args, records, run, same, sluice, test, token)

URL = "/v1/session-credentials"
KILLED_S = 2  # within this after the API's answer the sessions of a revoked credential are over


def made(client="agent-7", resources=("shop",), **more):
    return api_ok(client, "POST", URL, {"resources": list(resources), **more})


def use(cred, *args, user=None, password=None, **more):
    return psql(None, *args, resource=user or cred["username"], database="shop", password=password or cred["password"], **more)


def use_start(cred, *args, database="shop"):
    return subprocess.Popen(psql_args(*args, resource=cred["username"], database=database), stdin=subprocess.PIPE,
                            env={**os.environ, "PGPASSWORD": cred["password"]}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


@test
def credential_of_psql():
    cred = made()
    same(len(cred["password"]), 32, "the password's length")
    check(0 < cred["expires_us"] / 1e6 - time.time() <= 3601, "an hour is the default")
    same(use(cred, "-c", "select 40 + 2", check_rc=True).stdout, "42\n", "psql")
    session = latest("agent-7")
    first = records(session["id"])[0]
    same((first["credential"], first["groups"], first["resource"]), (cred["id"], ["agents"], "shop"), "the session's record")
    # The policy holds for it as for the token.
    contains(use(cred, "-c", "drop table customers").stderr, "the schema is not changed through this gateway")


@test
def credential_of_psycopg2():
    cred = made()
    code = ("import os, psycopg2\n"
            "c = psycopg2.connect(host=%r, port=%d, user=%r, dbname='shop', password=os.environ['PW'], sslmode='verify-full',"
            " sslrootcert=%r)\n"
            "k = c.cursor()\nk.execute('select %%s::int + 1', (41,))\nprint(k.fetchone()[0])" %
            (LISTENER[0], LISTENER[1], cred["username"], CA))
    out = run(["ip", "netns", "exec", CLIENT, "/usr/bin/python3", "-c", code], env={"PW": cred["password"]}).stdout
    same(out, "42\n", "psycopg2")


@test
def credential_and_channel_binding():
    """SCRAM-SHA-256-PLUS for who insists on it, SCRAM-SHA-256 for who will have none of it; a token's login has no channel binding, and libpq that
    insists on one does not send the token."""
    cred = made()
    for binding in ("require", "prefer", "disable"):
        done = run(psql_args("-c", "select 40 + 2", resource=cred["username"], database="shop"),
                   env={"PGPASSWORD": cred["password"], "PGCHANNELBINDING": binding})
        same(done.stdout, "42\n", f"channel_binding={binding}")
    done = run(psql_args("-c", "select 1"), env={"PGPASSWORD": token("agent-7"), "PGCHANNELBINDING": "require"}, check_rc=False)
    same(done.returncode, 2, "a token with channel_binding=require")
    contains(done.stderr, "channel binding")


@test
def credential_of_node_pg():
    cred = made()
    env = {"PGHOST": LISTENER[0], "PGPORT": str(LISTENER[1]), "PGUSER": cred["username"], "PGDATABASE": "shop", "PGPASSWORD": cred["password"],
           "PGSSLROOTCERT": CA}
    done = run(["ip", "netns", "exec", CLIENT, "node", f"{ROOT}/tools/lab/clients/ways.mjs"], env=env, stdin='{"a": ["select 40 + 2"]}')
    same(done.stdout, '["a","",[["NDI="]]]\n', "node pg")


@test
def credential_refused():
    cred = made()
    unknown = cred["username"][:-1] + ("x" if cred["username"][-1] != "x" else "y")
    texts = set()
    for user, password in ((None, "x" * 32), (unknown, cred["password"]), (None, token("agent-7"))):
        done = use(cred, "-c", "select 1", user=user, password=password)
        same(done.returncode, 2, "psql with a wrong name or password")
        texts.add(re.sub(r".*FATAL: ", "", done.stderr.strip()))
    same(texts, {" authentication failed"}, "what is said of a wrong name and of a wrong password")
    # For other resources it is of no use, and the token's user names do not take it.
    done = use(cred, "-c", "select 1", user="bench~" + cred["id"])
    same(done.returncode, 2, "psql on another resource")
    contains(done.stderr, "no such resource or not allowed")
    same(use(cred, "-c", "select 1", user="shop").returncode, 2, "the password in the place of a token")
    same(latest("shop~" + cred["id"])["state"], "refused", "the refusals' records")


@test
def credential_of_nobody_with_a_role():
    cred = made("stranger")
    contains(use(cred, "-c", "select 1").stderr, "not allowed", "what a caller without a role reads")
    same(api("stranger", "POST", URL, {"resources": []})[0], 400, "no resource")
    same(api(None, "POST", URL, {"resources": ["shop"]})[0], 401, "no token")
    same(api("stranger", "GET", URL + "?all=1")[0], 403, "everybody's, without the role")


@test
def a07_credential_revoked():
    """Idle, streaming, waiting for approval: all are over soon after the DELETE, and no new one begins."""
    cred, other, mark = made(), made("bench", ("bench",)), marker()
    idle = use_start(cred)
    streams = use_start(other, "-c", "copy (select repeat('x', 1000) from generate_series(1, 1000000)) to stdout", database="bench")
    holds = use_start(cred, "-c", f"update customers set city = '{mark}' where id = 1")
    held = pending(mark)
    idle.stdin.write("select 'there';\n")
    idle.stdin.flush()
    same(idle.stdout.readline(), "there\n", "the idle session")
    same(streams.stdout.read(10), "x" * 10, "the stream")
    began = time.monotonic()
    same(api("agent-7", "DELETE", f"{URL}/{cred['id']}")[0], 204, "DELETE")
    same(api("noc", "DELETE", f"{URL}/{other['id']}")[0], 204, "DELETE by an operator")
    eventually(lambda: not any(s["state"] == "live" and s["user"] in ("agent-7", "bench") for s in
                               api_ok("noc", "GET", "/v1/sessions?limit=20")["sessions"]), "the end of its sessions", KILLED_S)
    took = time.monotonic() - began
    check(took < KILLED_S, f"the sessions ended after {took:.1f} s")
    same(api_ok("noc", "GET", f"/v1/approvals/{held['id']}")["state"], "cancelled", "the approval that it waited for")
    same(finish(holds)[0], 2, "psql that waited")
    streams.kill()
    streams.communicate()
    idle.stdin.write("select 1;\n")
    contains(finish(idle)[2], "revoked", "what the idle client reads")
    same(use(cred, "-c", "select 1").returncode, 2, "a new session")
    same(admin(f"select count(*) from customers where city = '{mark}'"), "0", "rows of the held statement")


@test
def credential_ends_with_its_token():
    """The token lasts two seconds and the provider's leeway: so does what was made against it, and its session."""
    cred = made("short", ttl_s=3600)
    left = cred["expires_us"] / 1e6 - time.time()
    check(left < 10, f"{left:.1f} s left")
    idle = use_start(cred)
    idle.stdin.write("select 'there';\n")
    idle.stdin.flush()
    same(idle.stdout.readline(), "there\n", "the session")
    live("short")
    time.sleep(max(0, cred["expires_us"] / 1e6 - time.time()))
    eventually(lambda: latest("short")["state"] == "ended", "the session's end", KILLED_S)
    idle.kill()
    idle.communicate()
    contains(use(cred, "-c", "select 1").stderr, "authentication failed")


@test
def credential_outlives_a_restart():
    cred = made()
    lab("gateway", "stop")
    gateway_start()
    same(use(cred, "-c", "select 1", check_rc=True).stdout, "1\n", "psql after the restart")


@test
def credential_leaves_no_trace():
    """D14: the password is in no log, record, metric, list, file of the store, nor in the process's memory."""
    cred = made()
    use(cred, "-c", "select 1", check_rc=True)
    secret = cred["password"]
    time.sleep(0.5)
    session = eventually(lambda: (lambda s: s if s["state"] == "ended" else None)(latest("agent-7")), "the session's end")
    check(secret not in str(records(session["id"])), "the password is in the records")
    check(secret not in gateway_log(100000), "the password is in the log")
    check(secret not in str(api_ok("noc", "GET", "/v1/metrics")), "the password is in the metrics")
    check(secret not in str(api_ok("noc", "GET", URL + "?all=1")), "the password is in the list")
    kept = run(["grep", "-rlaF", secret, f"{DIR}/gw/store"], check_rc=False)
    same(kept.returncode, 1, f"grep in the store ({kept.stdout})")
    same(in_memory(secret.encode()), [], "places of the password in the process's memory")


@test
def memory_stays_out_of_swap():
    """D14: what holds anything of the gateway's is locked in memory, and so is its code; the store, which may be larger, is not."""
    use(made(), "-c", "select 1", check_rc=True)
    unlocked, store = [], []
    with open(f"/proc/{gateway_pid()}/smaps", encoding="ascii") as f:
        areas = re.findall(r"^([0-9a-f]+-[0-9a-f]+ .*)$(?s:(.*?))^VmFlags:(.*)$", f.read(), re.M)
    check(len(areas) > 20, f"{len(areas)} areas")
    for name, numbers, flags in areas:
        if name.endswith("/data.mdb"):
            store.append("lo" in flags.split())
        elif ("Anonymous:             0 kB" not in numbers or name.endswith("/sluiced")) and "lo" not in flags.split():
            unlocked.append(name)
    same(unlocked[:5], [], "areas that can be swapped")
    same(store, [False], "whether the store is locked")


def in_memory(what):
    """Where in the gateway's own memory these bytes stand."""
    found, pid = [], gateway_pid()
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            begin, end = (int(x, 16) for x in line.split()[0].split("-"))
            if "rw" not in line.split()[1] or "/" in line or end - begin > 1 << 28:
                continue
            mem.seek(begin)
            try:
                at = mem.read(end - begin).find(what)
            except OSError:
                continue
            if at >= 0:
                found.append(f"{begin + at:x} in {line.strip()}")
    return found


@test
def credential_by_sluice():
    """sluice login writes what psql reads; logout takes it away again."""
    with tempfile.TemporaryDirectory() as folder:
        passfile = f"{folder}/pgpass"
        with open(passfile, "w", encoding="ascii") as f:
            f.write("# mine\nother:5432:*:me:secret\n")
        os.chmod(passfile, 0o600)
        args = ("login", "--resource", "shop", "--ttl", "600", "--host", LISTENER[0], "--port", str(LISTENER[1]), "--database", "shop",
                "--pgpass", passfile)
        sluice("agent-8", *args)
        out = sluice("agent-8", *args).stdout
        user = re.search(r"username +(\S+)", out).group(1)
        contains(out, f"postgresql://{user}@{LISTENER[0]}:{LISTENER[1]}/shop?")
        check("password" not in out, "the password is shown although a file was asked for")
        same(os.stat(passfile).st_mode & 0o777, 0o600, "the file's mode")
        with open(passfile, encoding="ascii") as f:
            lines = f.read().splitlines()
        same(lines[:2], ["# mine", "other:5432:*:me:secret"], "the lines of others")
        same(len(lines), 3, "the lines of two logins")
        got = run(psql_args("-c", "select 1", resource=user, database="shop", passfile=passfile), env={"PGPASSWORD": ""}).stdout
        same(got, "1\n", "psql with the password file")
        contains(sluice("agent-8", "logins").stdout, user.split("~")[1])
        sluice("agent-8", "logout", "--pgpass", passfile)
        with open(passfile, encoding="ascii") as f:
            same(f.read().splitlines(), lines[:2], "the file after the logout")
        check("shop" not in sluice("agent-8", "logins").stdout, "a login is left")


@test
def a07_provider_leaves_the_policy():
    """Sessions of its callers end, by token or by credential; nobody new comes by what it vouched for under that name."""
    documents = api_ok("noc", "GET", "/v1/policies/current")["documents"]
    text = documents if isinstance(documents, str) else "\n---\n".join(d if isinstance(d, str) else d["text"] for d in documents)
    changed = text.replace("  name: lab\n", "  name: other-lab\n", 1)
    check(changed != text, "the current policy has no provider of that name")
    cred = made()
    by_cred, by_token = use_start(cred), use_start({"username": "shop", "password": token("agent-8")})
    for p in (by_cred, by_token):
        p.stdin.write("select 'there';\n")
        p.stdin.flush()
        same(p.stdout.readline(), "there\n", "a session")
    try:
        api_ok("admin", "POST", "/v1/policies", changed)
        eventually(lambda: not any(s["state"] == "live" for s in api_ok("noc", "GET", "/v1/sessions?limit=20")["sessions"]),
                   "the end of the sessions", KILLED_S)
        contains(use(cred, "-c", "select 1").stderr, "authentication failed")
    finally:
        api_ok("admin", "POST", "/v1/policies", text)
    for p in (by_cred, by_token):
        p.stdin.write("select 1;\n")
        contains(finish(p)[2], "identity provider", "what the client reads")
