"""The part of the command `cddl` that CCF's suites use: SCHEMA v FILE."""

import pathlib
import sys

import pycddl

schema, verb, file = sys.argv[1:]
if verb != "v":
    sys.exit(f"cddl: {verb} is not known here")
try:
    pycddl.Schema(pathlib.Path(schema).read_text()).validate_cbor(pathlib.Path(file).read_bytes())
except pycddl.ValidationError as e:
    sys.exit(f"cddl: {file} is not as {schema} says: {e}")
