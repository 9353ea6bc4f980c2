"""What the lint scripts share: our C files, their folders, and C text without comments and strings."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOPS = ("app", "drivers", "dataplane", "mgmt", "policies", "tools", "tests")


def files(*suffixes):
    """Our own files with one of these endings, as paths from the root. What git ignores is not ours."""
    git = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    if git.returncode == 0:
        names = git.stdout.split("\n")
    else:  # an unpacked archive
        names = [os.path.relpath(os.path.join(d, f), ROOT) for top in TOPS
                 for d, _, fs in os.walk(os.path.join(ROOT, top)) if "node_modules" not in d for f in fs]
    return sorted(n for n in set(names) if n.endswith(suffixes) and n.split("/")[0] in TOPS
                  and os.path.exists(os.path.join(ROOT, n)))


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def bare(text):
    """The text with comments and literals blanked; every line stays where it is."""
    return _TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def report(problems, passed):
    """Prints what was found. The exit status says whether it was nothing."""
    for p in problems:
        print(p)
    print(f"{passed} files checked, {len(problems)} problems")
    sys.exit(1 if problems else 0)
