"""Clients as people use them, unmodified: each in every way in which it talks to a server, through the gateway."""
import signal
import time

from labtest import BUILD, CA, CLIENT, LISTENER, ROOT, check, finish, psql, psql_start, run, same, test, token

HERE = f"{ROOT}/tools/lab/clients"
SECONDS = 60


def environment():
    return {"PGHOST": LISTENER[0], "PGPORT": str(LISTENER[1]), "PGUSER": "bench", "PGDATABASE": "bench", "PGPASSWORD": token("bench"),
            "PGSSLMODE": "verify-full", "PGSSLROOTCERT": CA, "PGCONNECT_TIMEOUT": "10"}


def driver(program, ways):
    """All ways, in this order, and nothing else."""
    done = run(["ip", "netns", "exec", CLIENT, *program], env=environment(), timeout=SECONDS, check_rc=False)
    check(done.returncode == 0, f"{' '.join(program)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    same(done.stdout.split("\n"), [f"{w} ok" for w in ways.split()] + [""], "ways")


@test
def client_psql():
    def says(want, *args, stdin=None):
        done = psql("bench", *args, resource="bench", stdin=stdin)
        same((done.returncode, done.stdout), (0, want), f"psql {args}: {done.stderr}")

    says("42|ä\n", "-c", "select 42, 'ä'")
    says("PREPARE\n42\n44\n", stdin="prepare twice (int) as select $1 * 2; execute twice (21); execute twice (22);")
    says("1\n2\n", "-c", "select 1\\; select 2".replace("\\;", ";"))
    lines = "".join(f"{i}\tzeile ä {i}\n" for i in range(2000))
    says("CREATE TABLE\nCOPY 2000\n" + lines, stdin="create temp table lines (i int, t text);\ncopy lines from stdin;\n" + lines +
         "\\.\ncopy (select * from lines order by i) to stdout;\n")
    running = psql_start("bench", "-c", "select pg_sleep(30)", resource="bench")
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    status, _, err = finish(running, 10)
    check(status == 1 and "canceling statement due to user request" in err, f"exit {status}: {err}")


@test
def client_libpq():
    driver([f"{BUILD}/tools/lab/clients/libpq_client"], "plain prepared binary pipelined copy single-row cancel")


@test
def client_psycopg2():
    driver([f"{HERE}/drivers.py", "psycopg2"], "plain prepared cursor copy cancel")


@test
def client_psycopg():
    driver([f"{HERE}/drivers.py", "psycopg"], "plain prepared pipelined binary copy cancel")


@test
def client_asyncpg():
    driver([f"{HERE}/drivers.py", "asyncpg"], "plain prepared binary pipelined copy cancel")


@test
def client_pg8000():
    driver([f"{HERE}/drivers.py", "pg8000"], "plain prepared copy")


@test
def client_node_pg():
    driver(["node", f"{HERE}/node.mjs", "pg"], "plain prepared queued binary copy cancel")


@test
def client_node_postgres():
    driver(["node", f"{HERE}/node.mjs", "postgres"], "plain prepared pipelined copy cancel")
