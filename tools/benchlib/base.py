"""What all measurements share: the build, the wires, sluice-stack as a process, hugepages."""
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAST, FIRST = os.cpu_count() - 1, 0
HERE = os.path.dirname(os.path.abspath(__file__))
# Of the lab's wires; with .6. on both ends the kernels talk to each other through a wire without a gateway.
IP = {4: {"client": "10.99.1.2", "gw_client": "10.99.1.1", "target": "10.99.2.2", "gw_target": "10.99.2.1",
          "wire_client": "10.99.6.2", "wire_target": "10.99.6.1", "bits": 24},
      6: {"client": "fd99:1::2", "gw_client": "fd99:1::1", "target": "fd99:2::2", "gw_target": "fd99:2::1",
          "wire_client": "fd99:6::2", "wire_target": "fd99:6::1", "bits": 64}}
PORTS = ("kernel:c0", "kernel:t0")


class Broken(Exception):
    """A measurement that could not be made."""


def build_dir():
    """The build with the test services; made on first use."""
    build = os.environ.get("LAB_BUILD") or f"{ROOT}/build-bench"
    if not os.path.exists(f"{build}/build.ninja"):
        subprocess.run(["meson", "setup", build, ROOT, "--buildtype=release", "-Dtest_services=true"], check=True, stdout=subprocess.DEVNULL)
    if not os.environ.get("LAB_BUILD"):
        subprocess.run(["ninja", "-C", build, "app/sluiced", "tools/sluice/sluice", "tools/stack/sluice-stack",
                        "tools/policy/policy_bench"], check=True,
                       stdout=subprocess.DEVNULL)
    if not os.path.exists(f"{build}/tools/stack/sluice-stack"):
        raise Broken(f"{build} was not configured with -Dtest_services=true")
    return build


def endpoint(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def cpu_seconds(pid):
    """User and system time of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        parts = f.read().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def tail(name, n=15):
    with contextlib.suppress(OSError), open(name, encoding="utf-8", errors="replace") as f:
        return "".join(f.readlines()[-n:])
    return ""


class Stack:
    """A running sluice-stack: its lines of JSON as they come."""

    def __init__(self, role, options, eal, netns=None, core=LAST, main_core=FIRST, program=None, log=None):
        self.lines, self.log = [], log or tempfile.mktemp(prefix="sluice-stack.")
        command = ["ip", "netns", "exec", netns] if netns else []
        command += [program or f"{build_dir()}/tools/stack/sluice-stack", role, "--core", str(core), "--main-core", str(main_core)]
        command += options + ["--", "--no-shconf", "--no-pci", "--no-telemetry", "--log-level=error", *eal]
        with open(self.log, "wb") as err:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.lines.append(json.loads(line))

    def wait_for(self, condition, seconds, what):
        """The first line, from the newest on, for which the condition holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.lines and condition(self.lines[-1]):
                return self.lines[-1]
            if self.process.poll() is not None:
                self.reader.join(2)
                if self.lines and condition(self.lines[-1]):
                    return self.lines[-1]
                raise Broken(f"sluice-stack has ended ({self.process.returncode}), waiting for {what}:\n{tail(self.log)}")
            time.sleep(0.02)
        raise Broken(f"{what}: not within {seconds} s: {self.lines[-1:]}")

    def ready(self):
        self.wait_for(lambda line: True, 20, "the start")
        return self

    def fresh(self, seconds=5):
        """A line that was not there before this call."""
        had = len(self.lines)
        return self.wait_for(lambda _: len(self.lines) > had, seconds, "a line")

    def wait(self, seconds):
        """Until it has ended by itself; the last line."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired as e:
            raise Broken(f"sluice-stack does not end within {seconds} s: {self.lines[-1:]}") from e
        self.reader.join(5)
        if self.process.returncode or not self.lines:
            raise Broken(f"sluice-stack ended with {self.process.returncode}:\n{tail(self.log)}")
        return self.lines[-1]

    def stop(self):
        """Ends it; the last line."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(5)
        with contextlib.suppress(OSError):
            os.unlink(self.log)
        return self.lines[-1] if self.lines else {}


class Wires:
    """The lab's namespaces and wires, the gateway's place in the middle empty."""

    def __init__(self, prefix):
        self.env = {**os.environ, "LAB_PREFIX": prefix}
        self.client, self.target, self.gateway = (f"{prefix}-{n}" for n in ("client", "target", "gw"))
        self.prefix, self.processes, self.stack = prefix, [], None

    def lab(self, *args):
        done = subprocess.run([f"{ROOT}/tools/lab/lab", *args], capture_output=True, text=True, env=self.env, check=False)
        if done.returncode:
            raise Broken(f"lab {' '.join(args)}: {done.stdout}{done.stderr}")

    def __enter__(self):
        self.lab("wires", "up")
        for ns, end in ((self.client, "client"), (self.target, "target")):
            self.run(ns, "ip", "address", "add", f"{IP[4]['wire_' + end]}/24", "dev", "data0")
            for name in (end, "wire_" + end):
                self.run(ns, "ip", "address", "replace", f"{IP[6][name]}/64", "dev", "data0", "nodad")
        return self

    def __exit__(self, *_):
        for p in self.processes:
            if p.poll() is None:
                p.kill()
                p.wait()
        if self.stack:
            self.stack.stop()
        self.lab("wires", "down")

    def run(self, ns, *command, check=True, timeout=60, **more):
        done = subprocess.run(["ip", "netns", "exec", ns, *command], capture_output=True, text=True, check=False, timeout=timeout, **more)
        if check and done.returncode:
            raise Broken(f"{' '.join(command[:6])} in {ns}: {done.stdout}{done.stderr}")
        return done

    def start(self, ns, *command):
        """A process that ends with the wires at the latest. Peers keep off the worker's core."""
        p = subprocess.Popen(["ip", "netns", "exec", ns, "taskset", "-c", str(FIRST), *command], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        self.processes.append(p)
        return p

    def eal(self, memory=512):
        return ["--no-huge", "-m", str(memory), f"--file-prefix={self.prefix}"]

    def offloads(self, state):
        """Whether the peers leave checksums and segments to their devices: not to a port that uses none."""
        for ns in (self.client, self.target):
            self.run(ns, "ethtool", "-K", "data0", "tx", state, "tso", state, "gso", state)

    def gateway_up(self, *options, families=(4,), memory=512):
        """sluice-stack serve in the gateway's place."""
        ports = []
        for port, side in zip(PORTS, ("gw_client", "gw_target")):
            ports += ["--port", f"{port}=" + ",".join(f"{IP[f][side]}/{IP[f]['bits']}" for f in families)]
        return self._up("serve", [*ports, *options], memory)

    def wire_up(self, *options):
        """Frames passed on as they are, by way of the same ports."""
        return self._up("wire", [*(a for port in PORTS for a in ("--port", port)), *options], 512)

    def _up(self, role, options, memory):
        self.down()
        as_is = role == "wire" or "--impair" in options or "--software-checksum" in options
        self.offloads("off" if as_is else "on")
        self.stack = Stack(role, options, self.eal(memory), netns=self.gateway).ready()
        return self.stack

    def down(self):
        last = self.stack.stop() if self.stack else {}
        self.stack = None
        return last


# ---- hugepages, which memif without copies and virtio_user want ----

HUGE = "/proc/sys/vm/nr_hugepages"


@contextlib.contextmanager
def hugepages(nb):
    """At least nb free pages and a place to mount them; afterwards as before."""
    with open(HUGE, encoding="ascii") as f:
        before = int(f.read())
    with open("/proc/meminfo", encoding="ascii") as f:
        free = int(re.search(r"HugePages_Free:\s+(\d+)", f.read()).group(1))
    where = tempfile.mkdtemp(prefix="sluice-huge.")
    try:
        if free < nb:
            with open(HUGE, "w", encoding="ascii") as f:
                f.write(str(before + nb - free))
        subprocess.run(["mount", "-t", "hugetlbfs", "none", where], check=True)
        yield where
    finally:
        subprocess.run(["umount", where], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(where, ignore_errors=True)
        with open(HUGE, "w", encoding="ascii") as f:
            f.write(str(before))


def setup(*groups):
    subprocess.run([f"{ROOT}/tools/lab/setup", *groups], check=True)


def say(text):
    print(text, flush=True)


def warn(text):
    print(text, file=sys.stderr, flush=True)
