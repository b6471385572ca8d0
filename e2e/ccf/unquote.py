"""Make one file of CCF's tests readable before Python 3.12, in place.

It has one f-string whose braces hold double quotes inside double quotes; the
inner ones become single quotes.
"""

import re
import sys

path = sys.argv[1]
with open(path, encoding="utf-8") as f:
    lines = f.read().split("\n")
for i, line in enumerate(lines):
    if re.search(r'f".*\{[^}]*"[^}]*\}', line):
        lines[i] = re.sub(
            r"\{[^}]*\}", lambda m: m.group(0).replace('"', "'"), line
        )
with open(path, "w", encoding="utf-8") as f:
    f.write("\n".join(lines))
compile("\n".join(lines), path, "exec")
