"""What reading and judging a statement costs on one core, by the number of rules: what inspection does between a command and its verdict,
in CPU time of the thread. The record is not in it, nor masks; a limit is measured apart."""
import json
import subprocess

from . import base


def main(args):
    build = base.build_dir()
    out = subprocess.run([f"{build}/tools/policy/policy_bench", str(args.seconds)], check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    read = rows[0]["ns"]
    print(f"statements of {rows[0]['bytes']} bytes on average; read only: {read} ns")
    print(f"{'rules':>6} {'ns':>7} {'of reading':>11} {'compiled in':>12}")
    for r in rows[1:-1]:
        print(f"{r['rules']:>6} {r['ns']:>7} {r['ns'] / read:>10.2f}x {r['compile_ms']:>9} ms")
    print(f"a limit of commands, rows and bytes adds {rows[-1]['limit_command_ns']} ns to a command, {rows[-1]['limit_result_ns']} ns to its result")
    return {"results": rows}
