#!/usr/bin/python3
"""The detectors' check digits against an independent library (python3-stdnum), on random numbers of their form.

Usage: test_stdnum.py DETECT_SCAN. For each kind both must call the same numbers right; what differs on purpose
is said here.
"""
import importlib
import random
import re
import subprocess
import sys

ROUNDS = 2000
D, U = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# detector, module, form (see fill), the column's name that gives the context
KINDS = [
    ("ar-cuit", "ar.cuit", "99-99999999-9", ""),
    ("at-svnr", "at.vnr", "9999ddmmyy", "svnr"),
    ("au-tfn", "au.tfn", "999999999", "tfn"),
    ("be-nn", "be.nn", "yymmdd99999", "niss"),
    ("bg-egn", "bg.egn", "yymmdd9999", "egn"),
    ("br-cnpj", "br.cnpj", "99999999999999", "cnpj"),
    ("br-cpf", "br.cpf", "999.999.999-99", ""),
    ("ca-sin", "ca.sin", "999999999", "sin"),
    ("ch-ahv", "ch.ssn", "'756'.9999.9999.99", ""),
    ("cl-rut", "cl.rut", "99.999.999-9", ""),
    ("cn-ric", "cn.ric", "'110101'yyyymmdd999X", ""),
    ("cz-rc", "cz.rc", "yymmdd/9999", ""),
    ("de-idnr", "de.idnr", "g", "tax_id"),
    ("dk-cpr", "dk.cpr", "ddmmyy-9999", ""),
    ("es-dni", "es.dni", "99999999A", ""),
    ("fi-hetu", "fi.hetu", "ddmmyy-999X", ""),
    ("fr-nir", "fr.nir", "1yymm7599999999", ""),
    ("gb-nhs", "gb.nhs", "9999999999", "nhs"),
    ("hr-oib", "hr.oib", "99999999999", "oib"),
    ("ie-pps", "ie.pps", "9999999A", ""),
    ("il-id", "il.idnr", "999999999", "tz"),
    ("in-aadhaar", "in_.aadhaar", "999999999999", "aadhaar"),
    ("it-cf", "it.codicefiscale", "AAAAAAyyC01A999A", ""),
    ("kr-rrn", "kr.rrn", "yymmdd-9999999", ""),
    ("mx-curp", "mx.curp", "'BEXF'yymmdd'HDFRNN'99", ""),
    ("nl-bsn", "nl.bsn", "999999999", "bsn"),
    ("no-fnr", "no.fodselsnummer", "ddmmyy99999", ""),
    ("pl-pesel", "pl.pesel", "yymmdd99999", "pesel"),
    ("pt-nif", "pt.nif", "999999999", "nif"),
    ("ro-cnp", "ro.cnp", "1yymmdd129999", ""),
    ("se-pnr", "se.personnummer", "yymmdd-9999", ""),
    ("tr-tckn", "tr.tckimlik", "99999999999", "tckn"),
    ("us-aba", "us.rtn", "999999999", "routing"),
    ("us-ssn", "us.ssn", "999-99-9999", ""),
    ("za-id", "za.idnr", "yymmdd9999999", "said"),
]


# Ours also takes dates that are still to come, and series that are for temporary numbers: nothing is missed by that.
WIDER = {"be-nn", "cz-rc", "dk-cpr", "fi-hetu", "kr-rrn", "no-fnr"}

CHOICES = {"9": D, "A": U, "X": D + U, "C": "ABCDEHLMPRST"}


def fill(rnd, form):
    """A random number of the form: 9 A X as in the table, C a month's letter, yyyy yy mm dd a date, 'text' as it is."""
    if form == "g":  # ten digits of which one comes twice
        digits = rnd.sample(D, 9)
        digits.insert(rnd.randrange(10), rnd.choice(digits))
        return "".join(digits) + rnd.choice(D)
    date = {"yyyy": f"{rnd.randrange(1900, 2024):04}", "yy": f"{rnd.randrange(100):02}", "mm": f"{rnd.randrange(1, 13):02}",
            "dd": f"{rnd.randrange(1, 32):02}"}
    return re.sub(r"'([^']*)'|yyyy|yy|mm|dd|[9AXC]",
                  lambda m: m.group(1) or date.get(m.group(0)) or rnd.choice(CHOICES[m.group(0)]), form)


def main():
    seed = random.randrange(1 << 30)
    rnd = random.Random(seed)
    print(f"seed {seed}")
    lines, theirs = [], []
    for name, module, form, column in KINDS:
        check = importlib.import_module("stdnum." + module).is_valid
        for _ in range(ROUNDS):
            number = fill(rnd, form)
            lines.append(f"{column}\t{number}")
            theirs.append((name, number, check(number)))
    got = subprocess.run([sys.argv[1]], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True).stdout.split("\n")
    wrong, valid = {}, {}
    for (name, number, right), finds in zip(theirs, got):
        ours = name in [f.split(":")[0] for f in finds.split(" ")]
        valid[name] = valid.get(name, 0) + right
        if right and not ours or ours and not right and name not in WIDER:
            wrong.setdefault(name, []).append((number, right))
    for name, *_ in KINDS:
        print(f"{name}: {valid[name]} of {ROUNDS} valid, {len(wrong.get(name, []))} wrong {wrong.get(name, [])[:3]}")
    if wrong or any(v == 0 for v in valid.values()):
        sys.exit("the two do not agree, or a kind had no valid number")


if __name__ == "__main__":
    main()
