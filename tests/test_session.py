"""The five points of the quickstart: an agent's session with an unmodified psql, and what is kept of it."""
import time

import pgwire
from labtest import (admin, api, api_ok, approval, approvals, check, contains, eventually, finish, gateway_start, lab, latest, latest_ended,
                     live, marker, never_arrives, pending, psql, psql_start, reached, records, replies, run, same, sessions, sluice, test,
                     token, CA, CLIENT, DIR, LISTENER)


def refused(done, what):
    check(done.returncode == 2, f"{what}: psql exited {done.returncode}, not 2:\n{done.stdout}{done.stderr}")
    contains(done.stderr, "FATAL:", what)


# ---- 1: identity ----

@test
def token_is_the_password():
    for client in ("agent-7", "agent-8"):  # RS256, ES256
        same(psql(client, "-c", "select 40 + 2", check_rc=True).stdout, "42\n", f"a select by {client}")


@test
def token_wrong_is_refused():
    mark = marker()
    for bad in ("not-a-token", token("agent-7")[:-6] + "AAAAAA", token("agent-7").rsplit(".", 1)[0] + ".", "x" * 200):
        refused(psql("agent-7", "-c", f"select '{mark}'", password=bad), "a wrong token")
    never_arrives(mark)


@test
def token_expired_is_refused():
    refused(psql("expired", "-c", "select 1"), "a token that has expired")


@test
def token_foreign_is_refused():
    refused(psql("agent-7", "-c", "select 1", password=token("agent-7", "foreign")), "a token of another issuer")
    refused(psql("agent-7", "-c", "select 1", password=token("agent-7", "elsewhere")), "a token for another audience")


@test
def token_without_role_is_refused():
    refused(psql("stranger", "-c", "select 1"), "a caller without a role")
    refused(psql("agent-7", "-c", "select 1", resource="bench"), "a resource that the role does not have")
    refused(psql("agent-7", "-c", "select 1", resource="nothing"), "a resource that does not exist")
    refused(psql("agent-7", "-c", "select 1", dbname="bench"), "a database that the resource does not have")


@test
def token_in_clear_is_refused():
    done = psql("agent-7", "-c", "select 1", sslmode="disable")
    check(done.returncode == 2, f"psql exited {done.returncode}:\n{done.stdout}{done.stderr}")


@test
def token_refusals_are_recorded():
    psql("stranger", "-c", "select 1")
    eventually(lambda: any(s["state"] == "refused" for s in sessions(50)), "a refused session in the list")


@test
def target_credential_stays_hidden():
    with open(f"{DIR}/shop_app.password", encoding="ascii") as f:
        secret = f.read().strip()
    psql("agent-7", "-c", "select 1", check_rc=True)
    session = latest_ended("agent-7")
    check(secret not in str(records(session["id"])), "the target's password is in the records")
    check(secret not in str(api_ok("noc", "GET", "/v1/resources")), "the target's password is in the API")
    with open(f"{DIR}/gw/log", encoding="utf-8", errors="replace") as f:
        check(secret not in f.read(), "the target's password is in the log")
    kept = run(["grep", "-rlaF", secret, f"{DIR}/gw/store"], check_rc=False)
    check(kept.returncode == 1, f"the target's password is in the store in clear: {kept.stdout}")


# ---- 2: masks ----

@test
def mask_columns():
    out = psql("agent-7", "-F", "|", "-c", "select id, name, email, ssn, card_number, city from customers where id = 1",
               check_rc=True).stdout.strip().split("|")
    truth = admin("select id, name, email, ssn, card_number, city from customers where id = 1").split("|")
    same(len(out), 6, "columns")
    same((out[0], out[1], out[5]), (truth[0], truth[1], truth[5]), "columns without a mask")
    same(out[3], "***-**-****", "ssn")
    same(out[4], "*" * 12 + truth[4][-4:], "card_number")
    same(out[2], truth[2][0] + "*" * (len(truth[2]) - 5) + truth[2][-4:], "email")


@test
def mask_of_many_rows():
    out = psql("agent-7", "-c", "select ssn from customers order by id", check_rc=True).stdout.split()
    same((len(out), set(out)), (300, {"***-**-****"}), "ssn of all customers")


@test
def mask_under_another_name():
    truth = admin("select ssn from customers where id = 2")
    for sql in ("select ssn as city from customers where id = 2", "select c.ssn as x from customers c where id = 2",
                "select x from (select ssn as x from customers where id = 2) t"):
        done = psql("agent-7", "-c", sql)
        check(truth not in done.stdout + done.stderr, f"the value is in clear: {sql}\n{done.stdout}")


@test
def mask_by_content():
    truth = admin("select card_number from customers where id = 3").strip()
    done = psql("agent-7", "-c", f"select 'paid with {truth} today'", check_rc=True)
    same(done.stdout, "paid with [card] today\n", f"a card number inside a text ({truth})")
    done = psql("agent-7", "-c", "select 'paid with ' || card_number || ' today' from customers where id = 3", check_rc=True)
    same(done.stdout, "***\n", "a text that is made of a masked column")


@test
def mask_of_copy():
    truth = admin("select ssn from customers where id = 3").strip()
    for options in ("", "(format csv, header)", "(delimiter '|', null '')"):
        for what in ("customers", "(select id, ssn from customers where id = 3)"):
            done = psql("agent-7", "-c", f"copy {what} to stdout {options}", check_rc=True)
            check(truth not in done.stdout + done.stderr, f"copy {what} {options}: {done.stdout[:200]}")
            check("***" in done.stdout, f"copy {what} {options}: nothing is masked: {done.stdout[:200]}{done.stderr[:200]}")


@test
def mask_is_what_is_recorded():
    mark, truth = marker(), admin("select ssn from customers where id = 4")
    psql("agent-7", "-c", f"select '{mark}', ssn from customers where id = 4", check_rc=True)
    seen = replies(records(latest_ended("agent-7")["id"]))
    check(mark.encode() in seen, "the reply is not recorded")
    check(truth.encode() not in seen, "the record holds what the mask hides")


# ---- 3: denials ----

def denied(sql, message):
    mark = marker()
    done = psql("agent-7", "-v", "VERBOSITY=verbose", "-c", f"{sql} /* {mark} */", "-c", "select 'goes on'")
    contains(done.stderr, "ERROR:  42501:", sql)
    contains(done.stderr, message, sql)
    session = latest_ended("agent-7")
    contains(done.stderr, session["id"] + ".", "the event's id")
    contains(done.stdout, "goes on", "the session after a denial")
    never_arrives(mark)
    verdicts = [r for r in records(session["id"]) if r["kind"] == "command" and mark in r.get("text", "")]
    same([r["verdict"] for r in verdicts], ["deny"], "the recorded verdict")


@test
def deny_drop_table():
    denied("drop table orders", "the schema is not changed through this gateway")
    same(admin("select count(*) from orders"), "600", "orders after a refused DROP TABLE")


@test
def deny_delete_without_where():
    denied("delete from orders", "UPDATE and DELETE need a WHERE clause")
    same(admin("select count(*) from orders"), "600", "orders after a refused DELETE")


@test
def deny_pattern():
    denied("select 'salaries'", "salaries are not read through this gateway")


@test
def allow_delete_with_where():
    psql("agent-7", "-c", "insert into orders values (9001, 1, 1, 1, '2026-01-01')", check_rc=True)
    same(psql("agent-7", "-c", "delete from orders where id = 9001", check_rc=True).stdout, "DELETE 1\n", "a DELETE with WHERE")


# ---- 4: holds ----

def hold(mark, number, client="agent-7", table="customers"):
    column = "city" if table == "customers" else "name"
    return psql_start(client, "-c", f"update {table} set {column} = '{mark}' where id = {number}", "-c", "select 'goes on'")


def city(number):
    return admin(f"select city from customers where id = {number}")


@test
def hold_approved():
    mark = marker()
    waiting = hold(mark, 10)
    found = pending(mark)
    same((found["user"], found["resource"], [r["name"] for r in found["rules"]], found["state"]),
         ("agent-7", "shop", ["approve-customers"], "pending"), "the approval")
    check(not reached(mark), "the UPDATE has reached the target while it was held")
    contains(sluice("alice", "approvals", "ls").stdout, found["id"], "sluice approvals ls")
    sluice("alice", "approvals", "approve", found["id"])
    rc, out, err = finish(waiting)
    same((rc, out), (0, "UPDATE 1\ngoes on\n"), f"psql after the approval ({err})")
    contains(err, "NOTICE", "psql's messages")
    contains(err, found["id"], "psql's messages")
    same(city(10), mark, "the row after an approved UPDATE")
    same(approval(found["id"])["decided_by"], "alice", "who decided")


@test
def hold_denied():
    mark = marker()
    waiting = hold(mark, 11)
    found = pending(mark)
    sluice("alice", "approvals", "deny", found["id"])
    _, out, err = finish(waiting)
    contains(err, "ERROR", "psql's messages")
    contains(out, "goes on", "the session after a refused hold")
    never_arrives(mark)


@test
def hold_expires():
    mark, began = marker(), time.monotonic()
    _, out, err = finish(hold(mark, 12, table="products"))
    check(4 < time.monotonic() - began < 15, f"the hold of 5 s ended after {time.monotonic() - began:.1f} s")
    contains(err, "ERROR", "psql's messages")
    contains(out, "goes on", "the session after an expired hold")
    never_arrives(mark)
    gone = next(a for a in approvals("all") if mark in a["statement"])
    same(gone["state"], "expired", "the approval")
    status, _ = api("alice", "POST", f"/v1/approvals/{gone['id']}/approve", {})
    same(status, 409, "approving what has expired")
    never_arrives(mark)


@test
def hold_is_not_for_the_requester():
    """bob is an agent and a database owner: he may approve others, not himself."""
    mark = marker()
    waiting = hold(mark, 13, client="bob")
    found = pending(mark)
    status, _ = api("bob", "POST", f"/v1/approvals/{found['id']}/approve", {})
    same(status, 403, "approving one's own request")
    for client, want in (("agent-8", 403), ("noc", 403), ("admin", 403), (None, 401)):
        status, _ = api(client, "POST", f"/v1/approvals/{found['id']}/approve", {})
        same(status, want, f"approving as {client}")
    check(not reached(mark), "the UPDATE has run")
    sluice("alice", "approvals", "approve", found["id"])
    same(finish(waiting)[0], 0, "psql after alice's approval")


@test
def hold_is_used_once():
    mark = marker()
    waiting = hold(mark, 14)
    found = pending(mark)
    sluice("alice", "approvals", "approve", found["id"])
    finish(waiting)
    status, _ = api("alice", "POST", f"/v1/approvals/{found['id']}/approve", {})
    same(status, 409, "approving a second time")
    again = hold(mark, 15)
    fresh = pending(mark)
    check(fresh["id"] != found["id"], "the same statement ran on an old approval")
    sluice("alice", "approvals", "deny", fresh["id"])
    finish(again)


@test
def hold_by_two_rules():
    """Each rule asks its own people: what the broad one's have granted for the session lets nothing pass that the strict one holds."""
    mark = marker()
    broad, again, strict = (f"select '{mark}{n}' /* two-rules{n} */" for n in ("", "-again", "-strict"))
    waiting = psql_start("agent-7", "-c", broad, "-c", again, "-c", strict, "-c", "select 'goes on'")
    first = pending(mark)
    status, _ = api("sam", "POST", f"/v1/approvals/{first['id']}/approve", {})
    same(status, 403, "the broad rule approved by who may not")
    sluice("alice", "approvals", "approve", first["id"])
    held = pending(f"{mark}-strict")
    same([(r["name"], r["needed"], r["granted_by"], r["granted_with"]) for r in held["rules"]],
         [("approve-broad", 0, "alice", first["id"]), ("approve-strict", 1, None, None)], "what is needed")
    same([(r["name"], r["needed"]) for r in api_ok("alice", "POST", f"/v1/approvals/{held['id']}/approve", {})["rules"]],
         [("approve-broad", 0), ("approve-strict", 1)], "what is needed after the broad rule's approver")
    check(not reached(f"{mark}-strict"), "the strict rule's statement has run")
    contains(sluice("sam", "approvals", "show", held["id"]).stdout, "approve-strict: 0 of 1 from security", "sluice approvals show")
    sluice("sam", "approvals", "approve", held["id"])
    rc, out, err = finish(waiting)
    same((rc, out), (0, f"{mark}\n{mark}-again\n{mark}-strict\ngoes on\n"), f"psql at last ({err})")
    same(err.count("held for approval"), 2, f"notices: the one that the grant lets pass has none ({err})")
    recs = records(latest_ended("agent-7")["id"])
    commands = {r["text"]: r for r in recs if r["kind"] == "command"}
    same(commands[strict]["hold_rules"], ["approve-broad", "approve-strict"], "the rules in the record")
    passed = next(r for r in recs if r["kind"] == "decision" and r["approval"] == commands[again]["approval"])
    same((passed["by"], passed["note"]), ("alice", f"granted with approval {first['id']}"), "the record of what was granted")


# ---- 5: records ----

@test
def records_list_and_play():
    mark = marker()
    psql("agent-7", "-c", f"select '{mark}' as word", "-c", "drop table customers")
    session = latest_ended("agent-7")
    same((session["resource"], session["database"], session["protocol"]), ("shop", "shop", "postgres"), "the session")
    same(session["denied"], 1, "commands denied")
    listing = sluice("noc", "sessions", "ls").stdout
    contains(listing, session["id"], "sluice sessions ls")
    contains(listing, "agent-7", "sluice sessions ls")
    played = sluice("noc", "sessions", "play", session["id"]).stdout
    for part in (mark, "drop table customers", "no-drop", "DENIED", "42501"):
        contains(played, part, "sluice sessions play")
    check(played.count(mark) >= 2, "the reply as the caller saw it is not played")


@test
def records_are_complete():
    psql("agent-7", "-c", "select 1", check_rc=True)
    session = latest_ended("agent-7")
    recs = records(session["id"])
    same([r["n"] for r in recs], list(range(len(recs))), "the numbers of the records")
    same((recs[0]["kind"], recs[-1]["kind"]), ("session", "end"), "the first and the last record")
    same(recs[0]["user"], "agent-7", "whose session")
    check(recs[0]["groups"] == ["agents"], f"the groups: {recs[0]['groups']}")
    check(all(r.get("policy_version", 1) >= 1 for r in recs if r["kind"] == "command"), "a command without its policy version")


@test
def records_verify():
    psql("agent-7", "-c", "select 1", check_rc=True)
    sluice("noc", "sessions", "verify")
    answer = api_ok("noc", "POST", "/v1/verify")
    check(answer["ok"] and answer["sessions"] > 0 and answer["checkpoints"] > 0, f"verify: {answer}")
    same(api_ok("noc", "GET", f"/v1/sessions/{latest('agent-7')['id']}/verify")["ok"], True, "one session")


@test
def records_need_a_viewer():
    for client, want in ((None, 401), ("agent-7", 403), ("stranger", 403)):
        for path in ("/v1/sessions", "/v1/approvals", "/v1/resources", "/v1/policies/current", "/v1/status"):
            status, answer = api(client, "GET", path)
            same(status, want, f"{path} as {client} ({answer})")
    same(api(None, "GET", "/v1/health")[0], 200, "/v1/health without a token")
    same(api(None, "GET", "/v1/openapi.json")[0], 200, "/v1/openapi.json without a token")


@test
def session_killed_by_operator():
    waiting = psql_start("bench", "-c", "select pg_sleep(20)", resource="bench")
    found = live("bench")
    status, answer = api("noc", "DELETE", f"/v1/sessions/{found['id']}")
    check(200 <= status < 300, f"DELETE: {status} {answer}")
    began = time.monotonic()
    rc, _, err = finish(waiting, 10)
    check(rc == 2 and time.monotonic() - began < 5, f"psql exited {rc} after {time.monotonic() - began:.1f} s: {err}")


CLEAR = 5433  # a second listener, without TLS


def alive(w):
    try:
        return w.simple("select 1") == [[b"1"]]
    except (pgwire.Closed, pgwire.ServerError):
        return False


def two_of_one_port(port):
    """Two sessions of one client from the same address and port, and their ids."""
    in_tls, in_clear = (pgwire.Wire(CLIENT, (LISTENER[0], p), CA, port=port) for p in (LISTENER[1], CLEAR))
    in_tls.login("shop", "shop", token("agent-7"))
    first = live("agent-7")["id"]
    in_clear.send(pgwire.startup({"user": "shop", "database": "shop"}))
    in_clear.authenticate(token("agent-7"))
    second = eventually(lambda: next((i for i in [live("agent-7")["id"]] if i != first), None), "the second session")
    return (in_tls, first), (in_clear, second)


@test
def session_that_is_named_is_killed():
    lab("gateway", "stop")
    gateway_start(GW_CLEAR=CLEAR)
    try:
        for which in range(2):
            both = two_of_one_port(41000 + which)
            same(api("noc", "DELETE", f"/v1/sessions/{both[which][1]}")[0], 202, "the answer")
            eventually(lambda both=both, which=which: not alive(both[which][0]), "the end of the one that is named")
            check(alive(both[1 - which][0]), "the other one has ended")
            for w, _ in both:
                w.close()
    finally:
        lab("gateway", "stop")
        gateway_start()


@test
def policy_reload_between_statements():
    current = api_ok("noc", "GET", "/v1/policies/current")
    documents = current["documents"]
    text = documents if isinstance(documents, str) else "\n---\n".join(d if isinstance(d, str) else d["text"] for d in documents)
    changed = text.replace("salar(y|ies)", "wage(s)?")
    check(changed != text, "the current policy's text lacks the rule")
    status, _ = api("noc", "POST", "/v1/policies", changed)
    same(status, 403, "a viewer who applies a policy")
    answer = api_ok("admin", "POST", "/v1/policies", changed)
    check(answer["version"] > current["version"], f"the new version: {answer}")
    try:
        eventually(lambda: "42501" in psql("agent-7", "-v", "VERBOSITY=verbose", "-c", "select 'wages'").stderr, "the new rule")
        same(psql("agent-7", "-c", "select 'salaries'").stdout, "salaries\n", "a statement that the old rule refused")
        status, answer = api("admin", "POST", "/v1/policies", "kind: Rule\nversion: 1\nmetadata: {name: x}\nspec: {action: perhaps}\n")
        same(status, 422, f"a policy that is not valid ({answer})")
    finally:
        api_ok("admin", "POST", "/v1/policies", text)
    eventually(lambda: "42501" in psql("agent-7", "-v", "VERBOSITY=verbose", "-c", "select 'salaries'").stderr, "the old rule again")


@test
def provider_rotates_its_keys():
    """A token of a key that is not in the JWKS yet is accepted after one refresh; one of a key that is gone is not for ever."""
    from labtest import forget_tokens, lab  # pylint: disable=import-outside-toplevel
    psql("agent-7", "-c", "select 1", check_rc=True)
    lab("provider", "rotate")
    forget_tokens()
    # The gateway limits how often it asks the provider again.
    eventually(lambda: psql("agent-7", "-c", "select 1").stdout == "1\n", "a token signed by a new key", 90)
