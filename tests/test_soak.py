"""A short form of tools/soak: load, checking clients, cuts, holds, locks and reloads beside each other, every answer and record looked at."""
import os
import secrets
import sys

from labtest import ROOT, check, gateway_start, lab, test

sys.path.insert(0, os.path.join(ROOT, "tools"))

from soaklib import run  # noqa: E402  # pylint: disable=wrong-import-position

SECONDS = 7
NEEDED = ("commands whose records agree", "denied", "held", "policy versions", "cancel requests", "sessions of drivers")


@test
def soak_short():
    seed = int(os.environ.get("SOAK_SEED", secrets.randbits(32)))
    print(f"seed {seed} ", end="", flush=True)
    # Its clients are many threads: where the machine is slow, some begin late with what they have to say.
    lab("gateway", "stop")
    gateway_start(GW_LOGIN_TIMEOUT="30s")
    try:
        world = run.soak(SECONDS, clients=5, seed=seed, rate=8, reload_s=1, pace=0.2, scale=1, verbose=False)
    finally:
        lab("gateway", "stop", check_rc=False)
        gateway_start()
    check(not world.findings and not world.leaks, "\n".join(world.findings + world.leaks))
    check(all(world.counts[n] for n in NEEDED), f"nothing of {[n for n in NEEDED if not world.counts[n]]}")
    print(f"{world.counts['commands whose records agree']} commands, {world.counts['policy versions']} versions", end=" ", flush=True)
