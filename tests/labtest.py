"""What the system tests stand on: the lab with a gateway, its clients, its records and what its target really saw."""
import base64
import contextlib
import http.client
import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import time

import pgwire

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PREFIX = os.environ.setdefault("LAB_PREFIX", "sltest")
os.environ.setdefault("LAB_POLICY", os.path.join(ROOT, "tests/policy.yaml"))
DIR = f"/var/lib/sluice-lab/{PREFIX}"
BUILD = os.environ.setdefault("LAB_BUILD", os.path.join(ROOT, "build"))
CA = f"{DIR}/pki/ca.pem"
CLIENT, TARGET, GATEWAY = f"{PREFIX}-client", f"{PREFIX}-target", f"{PREFIX}-gw"
LISTENER = ("10.99.1.1", 5432)
SLUICE = f"{BUILD}/tools/sluice/sluice"

TESTS = []
_ends = []


class Failure(AssertionError):
    """A test's finding."""


def test(function):
    TESTS.append(function)
    return function


def at_end(function):
    """Called when all tests are done, the latest first."""
    _ends.append(function)


def end():
    while _ends:
        _ends.pop()()


def check(condition, text):
    if not condition:
        raise Failure(text)


def same(got, want, what):
    check(got == want, f"{what}: {got!r}, not {want!r}")


def contains(text, part, what="output"):
    check(part in text, f"{what} lacks {part!r}:\n{text}")


def marker():
    """A word that stands nowhere else: what carries it can be found in the target's log."""
    return "m_" + secrets.token_hex(8)


# ---- the lab ----

def run(args, timeout=60, env=None, stdin=None, check_rc=True):
    done = subprocess.run(args, capture_output=True, text=True, errors="replace", timeout=timeout, input=stdin, env={**os.environ, **(env or {})})
    if check_rc and done.returncode:
        raise Failure(f"{' '.join(args[:6])} ... exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def lab(*args, **more):
    return run([f"{ROOT}/tools/lab/lab", *args], **more)


TOKEN_KEPT_S = 1200  # of 3600

_tokens = {}


def token(client, kind=None):
    """A token of the provider; kept for as long as it is good for a session yet. Any thread."""
    key = (client, kind)
    got, fetched = _tokens.get(key, (None, 0))
    if got is None or client in ("short", "expired") or time.monotonic() - fetched > TOKEN_KEPT_S:
        got = lab("token", client, *([kind] if kind else [])).stdout.strip()
        _tokens[key] = (got, time.monotonic())
    return got


def forget_tokens():
    _tokens.clear()


def gateway_start(**settings):
    lab("gateway", "start", timeout=60, env={k: str(v) for k, v in settings.items()})


def gateway_pid():
    with open(f"{DIR}/gw/pid", encoding="ascii") as f:
        return int(f.read())


def gateway_alive():
    try:
        with open(f"/proc/{gateway_pid()}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (OSError, ValueError):
        return False


def gateway_log(lines=30):
    with contextlib.suppress(OSError), open(f"{DIR}/gw/log", encoding="utf-8", errors="replace") as f:
        return "".join(f.readlines()[-lines:])
    return ""


def gateway_memory():
    """Resident bytes."""
    with open(f"/proc/{gateway_pid()}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) * 1024


# ---- clients ----

def conninfo(resource="shop", database=None, **more):
    parts = {"host": LISTENER[0], "port": LISTENER[1], "user": resource, "dbname": database or resource, "sslmode": "verify-full",
             "sslrootcert": CA, "connect_timeout": 10, **more}
    return " ".join(f"{k}={v}" for k, v in parts.items())


def psql_args(*args, resource="shop", **more):
    return ["ip", "netns", "exec", CLIENT, "psql", "-X", "-A", "-t", conninfo(resource, **more), *args]


def psql(client, *args, resource="shop", password=None, timeout=60, check_rc=False, stdin=None, **more):
    """psql as a person would run it, through the gateway."""
    env = {"PGPASSWORD": token(client) if password is None else password}
    return run(psql_args(*args, resource=resource, **more), env=env, timeout=timeout, check_rc=check_rc, stdin=stdin)


def psql_start(client, *args, resource="shop", **more):
    """The same, not waited for."""
    return subprocess.Popen(psql_args(*args, resource=resource, **more), env={**os.environ, "PGPASSWORD": token(client)},
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, seconds=30):
    """(exit status, output, errors) of what psql_start() began."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as e:
        process.kill()
        out, err = process.communicate()
        raise Failure(f"psql does not end within {seconds} s:\n{out}{err}") from e
    return process.returncode, out, err


def wire(timeout=10):
    return pgwire.Wire(CLIENT, LISTENER, CA, timeout)


def session(client="agent-7", resource="shop", timeout=10, **params):
    w = wire(timeout)
    try:
        w.login(resource, params.pop("database", resource), token(client), **params)
    except BaseException:
        w.close()
        raise
    return w


# ---- the API ----

def api(client, method, path, body=None):
    """(status, JSON or text) of one request, as that client; None: without a token."""
    context = ssl.create_default_context(cafile=CA)
    with pgwire.namespace(CLIENT):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(20)
    sock.connect(("10.99.0.1", 8443))
    connection = http.client.HTTPSConnection("10.99.0.1", 8443, context=context)
    connection.sock = context.wrap_socket(sock, server_hostname="10.99.0.1")
    headers = {"Authorization": f"Bearer {token(client)}"} if client else {}
    if isinstance(body, dict):
        body, headers["Content-Type"] = json.dumps(body), "application/json"
    elif body is not None:
        headers["Content-Type"] = "application/yaml"
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text


def api_ok(client, method, path, body=None):
    status, answer = api(client, method, path, body)
    check(200 <= status < 300, f"{method} {path}: {status} {answer}")
    return answer


def sluice(client, *args, check_rc=True):
    return lab("sluice", client, *args, check_rc=check_rc)


def sessions(limit=20):
    return api_ok("noc", "GET", f"/v1/sessions?limit={limit}")["sessions"]


def latest(user):
    """The newest session of a user."""
    for s in sessions(50):
        if s["user"] == user:
            return s
    raise Failure(f"no session of {user} is recorded")


def latest_ended(user):
    """The same, when its end is in the records."""
    return eventually(lambda: (lambda s: s if s["state"] == "ended" else None)(latest(user)), f"the end of a session of {user}")


def live(user):
    return eventually(lambda: next((s for s in sessions(50) if s["state"] == "live" and s["user"] == user), None),
                      f"a live session of {user}")


def records(session_id):
    got, at = [], 0
    while at is not None:
        page = api_ok("noc", "GET", f"/v1/sessions/{session_id}/records?from={at}&limit=500")
        got += page["records"]
        at = page["next"]
    return got


def replies(recs):
    """What the caller saw, as far as it was kept."""
    return b"".join(base64.b64decode(r["data"]) for r in recs if r["kind"] == "data" and r.get("data"))


def approvals(state="pending"):
    return api_ok("noc", "GET", f"/v1/approvals?state={state}")["approvals"]


def approval(approval_id):
    return api_ok("noc", "GET", f"/v1/approvals/{approval_id}")


def eventually(function, what, seconds=10):
    """Calls until the result is true; a Failure of an attempt counts as false."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            last = function()
            if last:
                return last
        except Failure as e:
            last = e
        time.sleep(0.1)
    raise Failure(f"{what}: not within {seconds} s ({last})")


def pending(mark):
    """The pending approval whose statement carries the mark."""
    def find():
        return next((a for a in approvals() if mark in a["statement"]), None)
    return eventually(find, f"an approval for {mark}")


# ---- the target, past the gateway ----

def admin(sql, database="shop"):
    return lab("admin", "-d", database, "-A", "-t", "-c", sql).stdout.strip()


def direct(*args, timeout=600, **more):
    return lab("direct", *args, timeout=timeout, **more)


def target_log(since=0):
    with open(f"{DIR}/pg/log", "rb") as f:
        f.seek(since)
        return f.read().decode("utf-8", "replace")


def reached(mark):
    return mark in target_log()


def arrives(mark):
    eventually(lambda: reached(mark), f"{mark} in the target's log", 5)


def never_arrives(*marks):
    """Nothing with these marks is in the target's log, also after something later has arrived there."""
    later = marker()
    with session("agent-8") as w:
        w.simple(f"select '{later}'")
    arrives(later)
    for m in marks:
        check(not reached(m), f"the target has seen {m}: {[x for x in target_log().splitlines() if m in x][:2]}")
