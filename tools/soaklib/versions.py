"""Policy versions that differ in what they deny and that an answer can be told by, and the thread that changes them."""
import random
import threading
import time

from labtest import CA, api

from .base import COPY_RESOURCE, DATABASE, HIDDEN, RESOURCE, TABLES, WORDS

TARGET_ADDRESS = "10.99.2.2"
BALLAST = 300  # rules more in each seventh version: they take longer to compile
ANSWER_S = 60  # a POST of a policy may take
KEPT_HELD_S, SHORT_HELD_S = 60, 2  # how long the two kinds of held statements may wait


def current():
    status, answer = api("admin", "GET", "/v1/policies/current")
    if status != 200:
        raise RuntimeError(f"the current policy: {status} {answer}")
    docs = answer["documents"]
    return docs if isinstance(docs, str) else "\n---\n".join(d if isinstance(d, str) else d["text"] for d in docs)


def document(kind, name, spec):
    return f"{{kind: {kind}, version: 1, metadata: {{name: {name}}}, spec: {{{spec}}}}}"


class Versions:
    """Ours are numbered 1, 2, 3 ...; `known` maps the gateway's numbers to them."""

    def __init__(self, world):
        self.world, self.base = world, current()
        self.known, self.in_force, self.posted = {}, 0, 0
        self.cache = {}

    def denied(self, v):
        """The tables and words that version v denies."""
        if v not in self.cache:
            rng = random.Random(f"{self.world.seed}.version.{v}")
            names = [n for n in TABLES + WORDS if rng.random() < 0.35]
            self.cache[v] = frozenset(names + ["never"])
        return self.cache[v]

    def denies(self, v, objects):
        return bool(self.denied(v) & objects)

    def documents(self, v):
        tables = ", ".join(t for t in TABLES if t in self.denied(v))
        words = "|".join(w for w in WORDS if w in self.denied(v))
        target = (f'protocol: postgres, address: "{TARGET_ADDRESS}:5432", credential: shop-app, databases: [{DATABASE}], '
                  f'tls: {{caFile: "{CA}", serverName: "{TARGET_ADDRESS}"}}')
        both = f"resources: [{RESOURCE}, {COPY_RESOURCE}]"
        docs = [
            document("Resource", RESOURCE, target),
            document("Resource", COPY_RESOURCE, target),
            document("Role", "soak", f'groups: [agents, readers], {both}, databases: ["*"], allow: [any]'),
            document("Mask", "soak-version", f'action: redact, text: "V{v}", resources: [{RESOURCE}], columns: [ver]'),
            document("Mask", "soak-secret", f'action: redact, text: "{HIDDEN}", resources: [{RESOURCE}], columns: [secret]'),
            document("Mask", "soak-canary", f"action: redact, text: \"{HIDDEN}\", resources: [{RESOURCE}], pattern: 'cnry[0-9a-f]{{12}}'"),
            document("Rule", "soak-never", f'action: deny, {both}, relations: [never], message: "V{v} never"'),
            document("Rule", "soak-hold", f"action: hold, {both}, relations: [held], approvers: [db-owners], expires: {KEPT_HELD_S}s, "
                     f'message: "V{v} hold"'),
            document("Rule", "soak-hold-short", f"action: hold, {both}, relations: [held_short], approvers: [db-owners], "
                     f'expires: {SHORT_HELD_S}s, message: "V{v} hold"'),
            document("Breaker", "soak-breaker", f"identity: {{groups: [readers]}}, resources: [{RESOURCE}], denials: 4, window: 1m"),
        ]
        if tables:
            docs.append(document("Rule", "soak-tables", f'action: deny, {both}, relations: [{tables}], message: "V{v} no"'))
        if words:
            docs.append(document("Rule", "soak-words", f"action: deny, {both}, pattern: '\\b({words})\\b', message: \"V{v} no\""))
        if v % 7 == 0:
            docs += [document("Rule", f"soak-{i}", f"action: deny, {both}, relations: [private.t{i}]") for i in range(BALLAST)]
        return "\n---\n".join([self.base, *docs]) + "\n"

    def post(self):
        """The next version. What is judged while it is posted may be judged by it or by the one before."""
        v = self.posted = self.posted + 1
        status, answer = api("admin", "POST", "/v1/policies", self.documents(v))
        if status != 200:
            raise RuntimeError(f"version {v} is not accepted: {status} {answer}")
        self.known[answer["version"]] = v
        self.in_force = v
        self.world.count("policy versions")

    def number(self, version):
        """Ours of the gateway's. A version judges before the answer to its POST has come."""
        end = time.monotonic() + ANSWER_S
        while version not in self.known and time.monotonic() < end:
            time.sleep(0.1)
        return self.known.get(version)

    def refuse(self):
        """A policy that does not compile changes nothing."""
        status, answer = api("admin", "POST", "/v1/policies", self.documents(self.posted + 1) + "\n---\n{kind: Rule}\n")
        if status != 422:
            self.world.finding(f"a policy that is none: {status} {answer}")
        self.world.count("policies refused")

    def restore(self):
        status, answer = api("admin", "POST", "/v1/policies", self.base)
        if status != 200:
            self.world.finding(f"the first policy cannot be put back: {status} {answer}")


class Reloader(threading.Thread):
    def __init__(self, world, most_s):
        super().__init__(name="reloads")
        self.world, self.most_s = world, most_s

    def run(self):
        rng = self.world.random("reloads")
        while not self.world.stop.wait(rng.uniform(0.2, self.most_s)):
            try:
                if rng.random() < 0.1:
                    self.world.versions.refuse()
                self.world.versions.post()
            except Exception as e:  # pylint: disable=broad-except
                self.world.finding(f"reload: {e!r}")
