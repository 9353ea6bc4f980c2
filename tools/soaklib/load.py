"""pgbench beside the checking clients, one run behind the other, and what it must have left behind."""
import os
import re
import subprocess
import threading
import time

import psycopg2
from labtest import CA, CLIENT, DIR, LISTENER, direct, token

MODES = ("simple", "extended", "prepared")
SCRIPTS = {"tpcb-like": 7, "select-only": 1}  # statements of a transaction


def prepare(scale):
    direct("pgbench", "-i", "-q", "-s", str(scale), "bench")


class Pgbench(threading.Thread):
    """Rounds of one script, in one mode after the other, each round with a fresh token."""

    def __init__(self, world, script, clients, rate, round_s, until):
        super().__init__(name=f"pgbench {script}")
        self.world, self.script, self.clients, self.rate, self.round_s, self.until = world, script, clients, rate, round_s, until
        self.transactions, self.commands = 0, 0

    def run(self):
        n = 0
        while (left := self.until - time.monotonic()) > 2 and not self.world.stop.is_set():
            try:
                self.round(MODES[n % len(MODES)], max(1, int(min(self.round_s, left))))
            except Exception as e:  # pylint: disable=broad-except
                self.world.finding(f"{self.name}: {type(e).__name__} {e}")
            n += 1

    def round(self, mode, seconds):
        env = {**os.environ, "PGPASSWORD": token("bench"), "PGSSLMODE": "verify-full", "PGSSLROOTCERT": CA}
        args = ["ip", "netns", "exec", CLIENT, "pgbench", "-n", "-b", self.script, "-M", mode, "-c", str(self.clients), "-j", "1", "-R",
                str(self.rate), "-T", str(seconds), "-h", LISTENER[0], "-p", str(LISTENER[1]), "-U", "bench", "bench"]
        done = subprocess.run(args, env=env, capture_output=True, text=True, timeout=seconds + 120, check=False)
        out = done.stdout
        m = re.search(r"number of transactions actually processed: (\d+)", out)
        if done.returncode or not m or "number of failed transactions: 0 (0.000%)" not in out:
            self.world.finding(f"{self.name} -M {mode} exited {done.returncode}: {out[-600:]}{done.stderr[-600:]}")
        if m:
            self.transactions += int(m.group(1))
            self.commands += self.expected(mode, int(m.group(1)))
            self.world.count(f"pgbench {self.script} {mode}", int(m.group(1)))

    def expected(self, mode, transactions):
        """Command records: one for each statement; extended mode has one more for each Parse, prepared mode for each first one. Each run
        begins with two questions about the size of the tables."""
        statements = SCRIPTS[self.script]
        each = {"simple": statements, "extended": 2 * statements, "prepared": statements}[mode]
        return transactions * each + (self.clients * statements if mode == "prepared" else 0) + 2


def balanced(world, history_rows):
    c = psycopg2.connect(host=f"{DIR}/pg/socket", user="postgres", dbname="bench")
    with c, c.cursor() as cursor:
        cursor.execute("select (select sum(abalance) from pgbench_accounts), (select sum(bbalance) from pgbench_branches), "
                       "(select sum(tbalance) from pgbench_tellers), (select coalesce(sum(delta), 0) from pgbench_history), "
                       "(select count(*) from pgbench_history)")
        a, b, t, h, n = cursor.fetchone()
    c.close()
    if not a == b == t == h:
        world.finding(f"sums of balances: accounts {a}, branches {b}, tellers {t}, history {h}")
    if n != history_rows:
        world.finding(f"{n} rows of the history, pgbench was told of {history_rows} transactions")
