"""The part of the command `cddl` that CCF's suites use: SCHEMA v FILE."""

import pathlib
import sys

import cddl_verifier

schema, verb, file = sys.argv[1:]
if verb != "v":
    sys.exit(f"cddl: {verb} is not known here")
text = pathlib.Path(schema).read_text()
first = text.split("=", 1)[0].strip()  # as in RFC 8610, the first rule is the root
result = cddl_verifier.validate(text, pathlib.Path(file).read_bytes(), root_type=first)
if not result.valid:
    sys.exit(f"cddl: {file} is not as {schema} says: {'; '.join(map(str, result.diagnostics))}")
