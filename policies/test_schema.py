#!/usr/bin/python3
"""The schema against the compiler: the same keys in each kind of document, and each shipped document is valid.
test_schema.py SOURCE_ROOT"""
import json
import pathlib
import re
import sys

import jsonschema
import yaml

ROOT = pathlib.Path(sys.argv[1])
SCHEMA = json.loads((ROOT / "policies/policy.schema.json").read_text())
KEYS = {  # of the schema: of the compiler
    "resource": ("resource.c", "resource_keys"), "identityProvider": ("resource.c", "idp_keys"),
    "role": ("access.c", "role_keys"), "rule": ("access.c", "rule_keys"), "mask": ("mask.c", "mask_keys"),
    "detector": ("detectors.c", "detector_keys"),
    "limit": ("limit.c", "limit_keys"), "breaker": ("limit.c", "breaker_keys"), "test": ("test_doc.c", "test_keys"),
}


def compiler_keys(file, array):
    text = (ROOT / "policies/compile" / file).read_text()
    body = re.search(r"\b" + array + r"\[\] = \{(.*?)\}", text, re.S).group(1)
    return set(re.findall(r'"([^"]+)"', body))


def main():
    failed = False
    for part, (file, array) in KEYS.items():
        have, want = set(SCHEMA["$defs"][part]["properties"]), compiler_keys(file, array)
        if have != want or not want:
            print(f"{part}: only in the schema {have - want}, only in the compiler {want - have}")
            failed = True
    validator = jsonschema.Draft202012Validator(SCHEMA)
    files = [ROOT / "docs/example-policy.yaml", ROOT / "tests/policy.yaml", *(ROOT / "policies/packs").rglob("*.yaml")]
    documents = 0
    for file in files:
        for doc in yaml.safe_load_all(file.read_text()):
            documents += doc is not None
            for error in validator.iter_errors(doc) if doc is not None else ():
                print(f"{file}: {error.json_path}: {error.message}")
                failed = True
    bad = {"kind": "Rule", "version": 1, "metadata": {"name": "r"}, "spec": {"action": "deny", "kind": ["any"]}}
    if validator.is_valid(bad):
        print("the schema takes an unknown key")
        failed = True
    print(f"{documents} documents")
    return 1 if failed or documents < 20 else 0


sys.exit(main())
