#!/usr/bin/python3
"""How often each detector finds what it is for, and how often it takes business numbers for it.

Usage: rates.py DETECT_SCAN > docs/detectors.md. Always the same numbers: the generator's seed is fixed. Numbers with
check digits come from random numbers that an independent library (python3-stdnum) calls right; the rest is made by
the rules that their issuers publish.
"""
import base64
import json
import random
import re
import string
import subprocess
import sys
import zlib
from test_stdnum import KINDS, fill
import importlib

RECALL = 400
BUSINESS = 20000
D, U, L = string.digits, string.ascii_uppercase, string.ascii_lowercase
B62, HEX, WORD = D + U + L, "0123456789abcdef", D + U + L + "-_"
rnd = random.Random(20240229)


def some(alphabet, n, m=None):
    return "".join(rnd.choice(alphabet) for _ in range(n if m is None else rnd.randrange(n, m + 1)))


# ---- what is to be found ----

def luhn(body):
    total = sum(d if i % 2 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(map(int, reversed(body))))
    return body + str(-total % 10)


def card():
    prefix, n = rnd.choice([("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("3528", 16), ("36", 14), ("62", 16)])
    number = luhn(prefix + some(D, n - len(prefix) - 1))
    return rnd.choice([number, " ".join(re.findall("....|.+", number)) if n == 16 else number, "-".join(re.findall("....|.+", number)) if n == 16 else number])


def crc62(prefix):
    body, crc, tail = some(B62, 30), 0, ""
    crc = zlib.crc32(body.encode())
    for _ in range(6):
        tail = (D + U + L)[crc % 62] + tail
        crc //= 62
    return prefix + body + tail


def iban():
    country, n = rnd.choice([("DE", 22), ("FR", 27), ("GB", 22), ("ES", 24), ("NL", 18), ("NO", 15), ("PL", 28), ("MT", 31)])
    body = some(U, 4) + some(D, n - 8)
    check = 98 - int("".join(str(int(c, 36)) for c in body + country + "00")) % 97
    text = f"{country}{check:02}{body}"
    return rnd.choice([text, " ".join(re.findall("....|.+", text)), text.lower()])


def jwt():
    part = lambda o: base64.urlsafe_b64encode(json.dumps(o).encode()).decode().rstrip("=")
    return part({"alg": "RS256", "kid": some(B62, 8)}) + "." + part({"sub": some(B62, 12), "exp": rnd.randrange(1 << 31)}) + "." + some(WORD, 342)


def mrz():
    def check(t):
        return str(sum((0 if c == "<" else int(c, 36)) * (7, 3, 1)[i % 3] for i, c in enumerate(t)) % 10)
    number, birth, expiry = some(U + D, 9), fill(rnd, "yymmdd"), fill(rnd, "yymmdd")
    line = number + check(number) + some(U, 3) + birth + check(birth) + rnd.choice("MF<") + expiry + check(expiry)
    return line + "<" * 14 + check("<" * 14) + some(D, 1)


def base58(raw):
    letters, n, out = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", int.from_bytes(raw, "big"), ""
    while n:
        out, n = letters[n % 58] + out, n // 58
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + out


def bitcoin():
    import hashlib
    raw = bytes([rnd.choice([0, 5])]) + rnd.randbytes(20)
    return base58(raw + hashlib.sha256(hashlib.sha256(raw).digest()).digest()[:4])


def name():
    return rnd.choice(["ada", "grace.hopper", "o'neil", "j_doe", "x+tag", "info"])


def groups(n, sep):
    return sep.join(some(D, k) for k in n)


def sg_nric():
    kind, digits = rnd.choice("STFGM"), some(D, 7)
    total = sum(int(d) * w for d, w in zip(digits, (2, 7, 6, 5, 4, 3, 2))) + {"S": 0, "T": 4, "F": 0, "G": 4, "M": 3}[kind]
    return kind + digits + {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "XWUTRQPNJLK"}[kind][total % 11]


def my_number():
    body = some(D, 11)
    r = sum(int(d) * w for d, w in zip(body, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2))) % 11
    return body + str(0 if r <= 1 else 11 - r)


def medicare():
    body = rnd.choice("23456") + some(D, 7)
    return body + str(sum(int(d) * w for d, w in zip(body, (1, 3, 7, 9, 1, 3, 7, 9))) % 10) + rnd.choice("123456789")


def us_phone():
    while True:
        a, b = rnd.choice("23456789") + some(D, 2), rnd.choice("23456789") + some(D, 2)
        if a[1:] != "11" and b[1:] != "11":
            return rnd.choice("-.").join([a, b, some(D, 4)])


def nino():
    while True:
        p = rnd.choice("ABCEGHJKLMNOPRSTWXYZ") + rnd.choice("ABCEGHJKLMNPRSTWXYZ")
        if p not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"):
            return rnd.choice(["", " "]).join([p, some(D, 2), some(D, 2), some(D, 2), rnd.choice("ABCD")])


def ip6():
    return rnd.choice([":".join(some(HEX, 1, 4) for _ in range(8)), "2001:db8:" + some(HEX, 4) + "::" + some(HEX, 1, 4), "fe80::" + some(HEX, 4) + ":" + some(HEX, 4)])


MADE = {  # detector: (how to make one, name of a column that gives the context)
    "age-key": (lambda: "AGE-SECRET-KEY-1" + some(U + D, 58), ""),
    "anthropic-key": (lambda: "sk-ant-api03-" + some(WORD, 90) + "AA", ""),
    "au-medicare": (medicare, "medicare"),
    "aws-access-key": (lambda: rnd.choice(["AKIA", "ASIA"]) + some(U + "234567", 16), ""),
    "aws-secret-key": (lambda: "aws_secret_access_key=" + some(B62 + "+/", 40), ""),
    "azure-key": (lambda: "AccountKey=" + base64.b64encode(rnd.randbytes(64)).decode(), ""),
    "azure-sas": (lambda: "https://x.blob.core.windows.net/c?sv=2022-11-02&sig=" + some(B62, 40) + "%3D", ""),
    "basic-auth": (lambda: "Authorization: " + rnd.choice(["Basic ", "Bearer "]) + some(B62, 20, 60), ""),
    "bitcoin-address": (bitcoin, ""),
    "card": (card, ""),
    "databricks-token": (lambda: "dapi" + some(HEX, 32), ""),
    "digitalocean-token": (lambda: "dop_v1_" + some(HEX, 64), ""),
    "docker-token": (lambda: "dckr_pat_" + some(WORD, 27), ""),
    "email": (lambda: f"{name()}@{some(L, 3, 9)}.{rnd.choice(['com', 'de', 'co.uk', 'museum'])}", ""),
    "ethereum-address": (lambda: "0x" + some(HEX, 40), ""),
    "gb-nino": (nino, ""),
    "gcp-api-key": (lambda: "AIza" + some(WORD, 34) + some(B62, 1), ""),
    "github-pat": (lambda: "github_pat_" + some(B62, 22) + "_" + some(B62, 59), ""),
    "github-token": (lambda: crc62(rnd.choice(["ghp_", "gho_", "ghu_", "ghs_", "ghr_"])), ""),
    "gitlab-token": (lambda: "glpat-" + some(WORD, 20), ""),
    "google-oauth": (lambda: "ya29." + some(WORD, 60, 200), ""),
    "iban": (iban, ""),
    "in-pan": (lambda: some(U, 3) + rnd.choice("ABCFGHJLPT") + some(U, 1) + some("123456789", 4) + some(U, 1), ""),
    "ip4": (lambda: ".".join(str(rnd.randrange(256)) for _ in range(4)), ""),
    "ip6": (ip6, ""),
    "jp-mynumber": (my_number, "my_number"),
    "jwt": (jwt, ""),
    "mac": (lambda: rnd.choice(":-").join(some(HEX, 2) for _ in range(6)), ""),
    "npm-token": (lambda: crc62("npm_"), ""),
    "openai-key": (lambda: rnd.choice(["sk-proj-" + some(WORD, 74), "sk-" + some(B62, 20) + "T3BlbkFJ" + some(B62, 20)]), ""),
    "passport-mrz": (mrz, ""),
    "password": (lambda: rnd.choice(["password=", "\"client_secret\": \"", "pwd: "]) + some(B62 + "!$%", 8, 30), ""),
    "password-hash": (lambda: rnd.choice(["$2b$12$" + some(B62, 53), "$argon2id$v=19$m=65536,t=3,p=4$" + some(B62, 22) + "$" + some(B62, 43), "$6$" + some(B62, 16) + "$" + some(B62, 86)]), ""),
    "phone": (lambda: "+" + rnd.choice(["1 ", "49 ", "44", "33 (0)", "81-"]) + groups(rnd.choice([(3, 7), (4, 6), (3, 3, 4)]), rnd.choice(" -")), ""),
    "phone-us": (us_phone, ""),
    "private-key": (lambda: f"-----BEGIN {rnd.choice(['', 'RSA ', 'EC ', 'OPENSSH ', 'ENCRYPTED '])}PRIVATE KEY-----\\n" + some(B62, 200), ""),
    "pypi-token": (lambda: "pypi-AgEIcHlwaS5vcmc" + some(WORD, 140), ""),
    "sendgrid-key": (lambda: "SG." + some(WORD, 22) + "." + some(WORD, 43), ""),
    "sg-nric": (sg_nric, ""),
    "shopify-token": (lambda: "shpat_" + some(HEX, 32), ""),
    "slack-token": (lambda: rnd.choice(["xoxb-", "xoxp-"]) + groups((12, 12), "-") + "-" + some(B62, 24), ""),
    "slack-webhook": (lambda: "https://hooks.slack.com/services/T" + some(U + D, 8) + "/B" + some(U + D, 8) + "/" + some(B62, 24), ""),
    "stripe-key": (lambda: rnd.choice(["sk_live_", "rk_live_", "sk_test_"]) + some(B62, 24, 99), ""),
    "telegram-token": (lambda: some("123456789", 1) + some(D, 8) + ":AA" + some(WORD, 32) + some(B62, 1), ""),
    "twilio-key": (lambda: rnd.choice(["SK", "AC"]) + some(HEX, 32), ""),
    "url-password": (lambda: f"{rnd.choice(['postgres', 'mysql', 'https', 'amqp'])}://{some(L, 5)}:{some(B62 + '!$', 8, 20)}@db.example/x", ""),
    "us-itin": (lambda: "9" + some(D, 2) + "-" + rnd.choice(["50", "65", "70", "88", "90", "94", "99"]) + "-" + some(D, 4), ""),
    "vault-token": (lambda: "hvs." + some(WORD, 90, 110), ""),
}


def numbers(kind):
    """Right numbers of a kind that the library knows."""
    _, module, form, column = kind
    check = importlib.import_module("stdnum." + module).is_valid
    while True:
        number = fill(rnd, form)
        if check(number):
            yield number, column


def in_text(value):
    return rnd.choice(["{}", "value {} here", "({})", "a,{},b", "\"{}\"", "see {}."]).replace("{}", value)


# ---- what is not ----

def uuid():
    return "-".join(some(HEX, n) for n in (8, 4, 4, 4, 12))


BUSINESS_IDS = {
    "digits, 6 to 20": lambda: some("123456789", 1) + some(D, 5, 19),
    "order number with letters": lambda: f"{some(U, 2, 4)}-{some(D, 4)}-{some(D, 6)}",
    "digits in groups": lambda: groups(rnd.choice([(3, 3, 3), (4, 4), (3, 2, 4), (4, 4, 4), (3, 3, 4), (6, 4), (2, 8, 1)]), rnd.choice(" -.")),
    "UUID": uuid,
    "SHA-1, SHA-256": lambda: some(HEX, rnd.choice([40, 64])),
    "base 62 id": lambda: some(B62, 8, 24),
    "base 64 text": lambda: base64.b64encode(rnd.randbytes(rnd.randrange(9, 60))).decode(),
    "article number": lambda: some(U, 1, 3) + some(D, 3, 8) + rnd.choice(["", some(U, 1)]),
    "time stamp": lambda: f"20{some(D, 2)}-{rnd.randrange(1, 13):02}-{rnd.randrange(1, 29):02}T{rnd.randrange(24):02}:{rnd.randrange(60):02}:{rnd.randrange(60):02}.{some(D, 6)}Z",
    "Unix time in ms": lambda: str(rnd.randrange(1262304000000, 1893456000000)),
    "price, amount": lambda: f"{rnd.randrange(10 ** rnd.randrange(1, 8)):,}.{some(D, 2)}",
    "version": lambda: ".".join(str(rnd.randrange(40)) for _ in range(rnd.randrange(2, 5))),
    "coordinates": lambda: f"{rnd.uniform(-90, 90):.6f},{rnd.uniform(-180, 180):.6f}",
    "parcel number": lambda: rnd.choice(["1Z" + some(U + D, 16), some(U, 2) + some(D, 9) + some(U, 2), some(D, 14), some(D, 20)]),
    "words": lambda: " ".join(rnd.choice(["blue", "widget", "large", "order", "the", "box", "of", "steel", "12", "mm"]) for _ in range(6)),
}


def scan(program, rows):
    text = "".join(f"{column}\t{value}\n" for column, value in rows)
    out = subprocess.run([program], input=text, capture_output=True, text=True, check=True).stdout.split("\n")
    return [{f.split(":")[0] for f in line.split(" ") if f} for line in out[:len(rows)]]


def main():
    program = sys.argv[1]
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = {k[0]: k for k in KINDS}
    recall, hits = {}, {}
    for line in names:
        name_ = line.split("\t")[0]
        if name_ in kinds:
            source = numbers(kinds[name_])
            made = [next(source) for _ in range(RECALL)]
        else:
            make, column = MADE[name_]
            made = [(make(), column) for _ in range(RECALL)]
        found = scan(program, [(column, in_text(value)) for value, column in made])
        recall[name_] = sum(name_ in f for f in found)
    for kind, make in BUSINESS_IDS.items():
        for found in scan(program, [("ref", make()) for _ in range(BUSINESS)]):
            for name_ in found:
                hits.setdefault(name_, {}).setdefault(kind, 0)
                hits[name_][kind] += 1
    total = BUSINESS * len(BUSINESS_IDS)
    print("# Detectors\n")
    print(f"""What the built-in detectors find, measured by `policies/detect/rates.py`: of {RECALL} generated examples each, inside of other
text, how many were found; and of {total:,} business ids ({BUSINESS:,} each of: {', '.join(BUSINESS_IDS)}) in a column called `ref`, how many
were taken for one, with the kind that suffers most. Numbers that are too common count only with a word near by or in the column's name
(the examples have it). What has no check digits takes what looks the same: `ip4` versions, `phone-us` and `dk-cpr` groups of digits.
""")
    print("| detector | finds | found | business ids taken | most among |")
    print("|---|---|---|---|---|")
    for line in names:
        name_, what = line.split("\t")
        bad = hits.get(name_, {})
        worst = max(bad, key=bad.get) if bad else ""
        share = f"{100 * sum(bad.values()) / total:.3f} %" if bad else "0"
        print(f"| `{name_}` | {what} | {recall[name_]} of {RECALL} | {share} | {worst + f' ({100 * bad[worst] / BUSINESS:.2f} %)' if worst else ''} |")


if __name__ == "__main__":
    main()
