#!/usr/bin/env python3
"""Verify what a Synod node wrote with CCF's own Python package.

Every check is the package's, none is ours: ccf.ledger walks the ledger with
Merkle tree and signatures, ccf.receipt checks JSON receipts, ccf.receipt or
(in releases before 7) ccf.cose checks COSE receipts. Works with the releases
of both lines that tools/python/requirements.txt pins.

    verify.py ledger DIR... [--uncommitted] [--at-least N]
    verify.py snapshot FILE
    verify.py receipt FILE --service CERT [--claims HEX]
    verify.py cose-receipt FILE --service CERT [--claims HEX]

One line for each thing checked; exit status 1 if one is wrong.
"""

import argparse
import hashlib
import importlib.metadata
import json
import pathlib
import sys
import warnings

warnings.simplefilter("ignore")  # deprecations of the pinned releases

import ccf.cose  # noqa: E402
import ccf.ledger  # noqa: E402
import ccf.receipt  # noqa: E402
from cryptography.x509 import load_pem_x509_certificate  # noqa: E402

ZEROS = "00" * 32


def quiet():
    """Keep the package's own logging out of our lines."""
    try:
        from loguru import logger

        logger.remove()
    except ImportError:
        pass


def check_ledger(args):
    if hasattr(ccf.ledger, "VerificationLevel"):
        full = {"verification_level": ccf.ledger.VerificationLevel.FULL}
        validator = ccf.ledger.LedgerValidator(**full)
        ledger = ccf.ledger.Ledger(
            args.paths, committed_only=not args.uncommitted, **full
        )
    else:
        validator = ccf.ledger.LedgerValidator()
        ledger = ccf.ledger.Ledger(args.paths, committed_only=not args.uncommitted)
    count = 0
    for chunk in ledger:
        for tx in chunk:
            validator.add_transaction(tx)
            count += 1
    last = validator.last_verified_txid()
    if count == 0 or validator.signature_count == 0:
        raise ValueError("no signed transaction")
    if args.at_least and last.seqno < args.at_least:
        raise ValueError(f"verified up to {last}, want at least {args.at_least}")
    return f"{count} transactions, {validator.signature_count} signatures, verified up to {last}"


def check_snapshot(args):
    with ccf.ledger.Snapshot(args.file) as snapshot:
        if not snapshot.is_committed():
            raise ValueError("not committed")
        tables = snapshot.get_public_domain().get_tables()
        return f"{len(tables)} public tables at {snapshot.get_txid()}"


def load_service(path):
    return load_pem_x509_certificate(pathlib.Path(path).read_bytes())


def check_receipt(args):
    receipt = json.loads(pathlib.Path(args.file).read_text(encoding="utf-8"))
    if "leaf" in receipt:
        leaf, what = receipt["leaf"], "signature"
    else:
        parts = receipt["leaf_components"]
        if args.claims and parts["claims_digest"] != args.claims:
            raise ValueError(f"claims digest is {parts['claims_digest']}")
        what = parts["commit_evidence"].split(":")[1]
        leaf = hashlib.sha256(
            bytes.fromhex(parts["write_set_digest"])
            + hashlib.sha256(parts["commit_evidence"].encode()).digest()
            + bytes.fromhex(parts["claims_digest"])
        ).hexdigest()
    root = ccf.receipt.root(leaf, receipt["proof"])
    node = load_pem_x509_certificate(receipt["cert"].encode())
    ccf.receipt.verify(root, receipt["signature"], node)
    ccf.receipt.check_endorsements(
        node,
        load_service(args.service),
        [
            load_pem_x509_certificate(pem.encode())
            for pem in receipt.get("service_endorsements", [])
        ],
    )
    return f"{what} under root {root}"


def check_cose_receipt(args):
    verify = getattr(ccf.receipt, "verify_cose", None) or ccf.cose.verify_receipt
    header = verify(
        pathlib.Path(args.file).read_bytes(),
        load_service(args.service).public_key(),
        bytes.fromhex(args.claims or ZEROS),
    )
    return f"header {header}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sub = parser.add_subparsers(dest="what", required=True)

    p = sub.add_parser("ledger")
    p.add_argument("paths", nargs="+")
    p.add_argument("--uncommitted", action="store_true")
    p.add_argument("--at-least", type=int, metavar="SEQNO")
    p.set_defaults(check=check_ledger)

    p = sub.add_parser("snapshot")
    p.add_argument("file")
    p.set_defaults(check=check_snapshot)

    for name, check in (
        ("receipt", check_receipt),
        ("cose-receipt", check_cose_receipt),
    ):
        p = sub.add_parser(name)
        p.add_argument("file")
        p.add_argument("--service", required=True, metavar="CERT")
        p.add_argument("--claims", metavar="HEX")
        p.set_defaults(check=check)

    args = parser.parse_args()
    quiet()
    name = " ".join(args.paths) if args.what == "ledger" else args.file
    tool = f"ccf {importlib.metadata.version('ccf')}"
    try:
        detail = args.check(args)
    except Exception as err:  # whatever the package throws is a refusal
        print(f"FAIL {args.what} {name}: {type(err).__name__}: {err} ({tool})")
        return 1
    print(f"ok {args.what} {name}: {detail} ({tool})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
