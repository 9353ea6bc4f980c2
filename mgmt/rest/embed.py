#!/usr/bin/python3
"""Writes a JSON document as a C array: embed.py IN OUT. Refuses what is not JSON, and takes the white space out."""
import json
import sys

with open(sys.argv[1], encoding="utf-8") as f:
    data = json.dumps(json.load(f), separators=(",", ":"), ensure_ascii=False).encode()
rows = ["\t" + " ".join(f"0x{b:02x}," for b in data[i:i + 16]) for i in range(0, len(data), 16)]
with open(sys.argv[2], "w", encoding="utf-8") as f:
    f.write('#include "rest_priv.h"\n\nconst unsigned char mg_openapi_json[] = {\n' + "\n".join(rows)
            + f"\n}};\nconst size_t mg_openapi_json_n = {len(data)};\n")
