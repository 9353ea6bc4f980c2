"""The ways into a session, on both sides: direct TLS, newer protocols, cancel keys, channel binding, PgBouncer as the target."""
import contextlib
import os
import shutil
import ssl
import struct
import subprocess
import threading
import time

import pgwire
from labtest import (CA, CLIENT, DIR, LISTENER, TARGET, check, contains, eventually, psql, same, session, test, token, wire)
from pgwire import Closed, ServerError, kinds, query, startup
from rogue import Rogue

PROTOCOL_32 = (3 << 16) + 2


# ---- direct TLS ----

@test
def p09_direct_tls():
    with wire() as w:
        w.start_tls(ask=False, alpn=["postgresql"])
        same(w.sock.selected_alpn_protocol(), "postgresql", "the protocol that was agreed on")
        w.send(startup({"user": "shop", "database": "shop"}))
        w.authenticate(token("agent-7"))
        same(w.simple("select 9"), [[b"9"]], "a select")
    # As libpq 17 has it with sslnegotiation=postgres: a request, and ALPN all the same.
    with wire() as w:
        same(w.request(pgwire.SSL_REQUEST), b"S", "the answer to SSLRequest")
        w.start_tls(ask=False, alpn=["postgresql"])
        w.send(startup({"user": "shop", "database": "shop"}))
        w.authenticate(token("agent-7"))


@test
def p09_direct_tls_without_alpn():
    for alpn in (None, ["http/1.1"], ["postgresq", "postgresql2"]):
        with wire() as w:
            try:
                w.start_tls(ask=False, alpn=alpn)
                w.send(startup({"user": "shop", "database": "shop"}))
                kind, _ = w.receive()
            except (Closed, ssl.SSLError, OSError):
                continue
            raise AssertionError(f"ALPN {alpn}: an answer {kind}")
    with session("agent-8") as w:
        same(w.simple("select 1"), [[b"1"]], "a session of somebody else")


@test
def p09_openssl_client():
    def client(*args):
        return subprocess.run(["ip", "netns", "exec", CLIENT, "openssl", "s_client", "-connect", f"{LISTENER[0]}:{LISTENER[1]}",
                               "-CAfile", CA, "-verify_return_error", *args], input="", capture_output=True, text=True, timeout=20,
                              check=False).stdout

    contains(client("-alpn", "postgresql"), "ALPN protocol: postgresql", "openssl's report")
    check("ALPN protocol" not in client("-alpn", "h2"), "a protocol of the web was agreed on")
    contains(client("-starttls", "postgres"), "Verify return code: 0 (ok)", "openssl's report of a request")


@test
def direct_tls_to_the_target():
    with Rogue(alpn=["postgresql"]) as target:
        with session("reader", "rogue-direct", database="rogue") as w:
            w.simple("select 1")
        same(target.agreed, ["postgresql"], "the protocols that were agreed on")
    # One that speaks TLS but not this protocol.
    with Rogue(alpn=["h2"]) as target:
        try:
            session("reader", "rogue-direct", database="rogue").close()
            raise AssertionError("a session with something else")
        except ServerError as e:
            same(e.fields["C"], "57P03", "SQLSTATE")
        same([m for m in target.seen], [], "what the other one has seen")


# ---- versions and cancel keys ----

@test
def p10_newer_protocol():
    for minor, negotiated, key_n in ((1, False, 4), (2, False, 32), (3, True, 32), (9999, True, 32)):
        with wire() as w:
            got = w.login("shop", "shop", token("agent-7"), version=(3 << 16) + minor)
            negotiate = [b for k, b in got if k == "v"]
            same(bool(negotiate), negotiated, f"3.{minor}: NegotiateProtocolVersion in {kinds(got)}")
            if negotiate:
                same(struct.unpack("!II", negotiate[0]), (PROTOCOL_32, 0), "what is spoken")
            same(len(w.key) - 4, key_n, f"3.{minor}: bytes of the cancel key")
            same(w.simple("select 1"), [[b"1"]], f"a select in 3.{minor}")
    with wire() as w:
        got = w.login("shop", "shop", token("agent-7"), **{"_pq_.a": "1", "_pq_.b": ""})
        same([b for k, b in got if k == "v"], [struct.pack("!II", 3 << 16, 2) + b"_pq_.a\0_pq_.b\0"], "options that are not known")
    for version in ((2 << 16), (4 << 16), 0, 1 << 16):
        with wire() as w:
            w.start_tls()
            w.send(startup({"user": "shop", "database": "shop"}, version))
            same(kinds(w.drain())[-1:], "E", f"the answer to version {version >> 16}")


@test
def p10_target_speaks_less():
    """The resource asks for 3.2; PostgreSQL 15 has 3.0."""
    with session("reader", "shop-newer", database="shop") as w:
        same(w.simple("select 1"), [[b"1"]], "a select")


@contextlib.contextmanager
def pgbouncer():
    """Debian's, before the lab's PostgreSQL: TLS, SCRAM, and nothing newer than 3.0."""
    where = f"{DIR}/bouncer"
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    for name in ("target.pem", "target.key"):
        shutil.copy(f"{DIR}/pki/{name}", where)
    with open(f"{DIR}/shop_app.password", encoding="ascii") as f:
        password = f.read().strip()
    with open(f"{where}/users", "w", encoding="ascii") as f:
        f.write(f'"shop_app" "{password}"\n')
    with open(f"{where}/ini", "w", encoding="ascii") as f:
        f.write(f"[databases]\nshop = host={DIR}/pg/socket\n[pgbouncer]\nlisten_addr = 10.99.2.2\nlisten_port = 5433\n"
                f"unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {where}/users\npool_mode = session\n"
                f"client_tls_sslmode = require\nclient_tls_cert_file = {where}/target.pem\n"
                f"client_tls_key_file = {where}/target.key\n"
                "ignore_startup_parameters = extra_float_digits,IntervalStyle\n")
    subprocess.run(["chown", "-R", "postgres:", where], check=True)
    with open(f"{where}/log", "wb") as log:
        p = subprocess.Popen(["ip", "netns", "exec", TARGET, "runuser", "-u", "postgres", "--", "pgbouncer", f"{where}/ini"],
                             stdout=log, stderr=log)
        try:
            def up():
                with open(f"{where}/log", encoding="utf-8") as f:
                    return "process up" in f.read()
            eventually(up, "PgBouncer is up")
            yield
        finally:
            subprocess.run(["pkill", "-P", str(p.pid)], check=False)
            p.terminate()
            p.wait(10)


@test
def p10_pgbouncer_as_the_target():
    with pgbouncer():
        for version in (pgwire.PROTOCOL_30, PROTOCOL_32):
            with wire() as w:
                w.login("bouncer", "shop", token("reader"), version)
                same(w.simple("select 10"), [[b"10"]], "a select")
        got = psql("reader", "-c", "select 11", resource="bouncer", database="shop")
        same(got.stdout.strip(), "11", f"psql's answer ({got.stderr})")


@test
def p26_cancel_keys():
    with session("reader", timeout=30) as other, wire(30) as w:
        w.login("shop", "shop", token("agent-8"), PROTOCOL_32)
        same(len(w.key), 36, "bytes of BackendKeyData")
        w.send(query("select count(*) from generate_series(1, 2000000000)"))
        pid, key = w.key[:4], w.key[4:]
        wrong = [key[:4], key[:-1], key + b"\0", bytes(32), key[:-1] + bytes([key[-1] ^ 1]), bytes(256), other.key[4:], bytes(4)]
        for k in wrong:
            cancel(pid + k)
        cancel(other.key[:4] + key)
        done = threading.Event()
        got = []
        threading.Thread(target=lambda: (got.extend(w.until("Z")), done.set()), daemon=True).start()
        check(not done.wait(1), "a wrong key has cancelled")
        for k in (b"", bytes(3), bytes(257)):
            cancel(pid + k)
        check(not done.wait(0.2), "a malformed key has cancelled")
        cancel(pid + key)
        check(done.wait(10), "the right key does not cancel")
        same([pgwire.fields(b)["C"] for k, b in got if k == "E"], ["57014"], "errors")
        same(other.simple("select 1"), [[b"1"]], "the other session")


def cancel(pid_and_key):
    with wire() as c:
        c.start_tls()
        c.send(struct.pack("!II", 8 + len(pid_and_key), pgwire.CANCEL_REQUEST) + pid_and_key)
        c.drain()


# ---- the target's side of the login ----

@test
def channel_binding_required():
    """PostgreSQL 15 offers SCRAM-SHA-256-PLUS inside TLS."""
    with session("reader", "shop-bound", database="shop") as w:
        same(w.simple("select 1"), [[b"1"]], "a select")


@test
def channel_binding_missing():
    """A target that does not offer it, or that asks for nothing at all, while the resource requires it."""
    for auth in (pgwire.message("R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0"), pgwire.message("R", struct.pack("!I", 0)),
                 pgwire.message("R", struct.pack("!I", 3)), pgwire.message("R", struct.pack("!I", 5) + b"salt")):
        with Rogue(auth=auth) as target:
            try:
                session("reader", "rogue-bound", database="rogue").close()
                raise AssertionError("a session without channel binding")
            except ServerError as e:
                same(e.fields["C"], "08004", "SQLSTATE")
                contains(e.fields["M"], "channel binding", "the message")
            time.sleep(0.1)
            same(target.seen, [], "what the target was told")
