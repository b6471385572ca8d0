"""Functions of CCF's suites on services of several nodes, each judged by itself.

For sub-runs that cannot pass as a whole on Synod, by design or because a later
function needs what comes later. Where a function contradicts a deliberate
difference, its good part counts: "until" quotes the line of the function at
which it has to fail, so that all before it has passed. No code of CCF is in
here. Run it through e2e/ccf/run, rows m1 and up.
"""

import copy
import importlib
import linecache
import os
import re
import sys
import traceback

import infra.e2e_args
import infra.interfaces
import infra.logging_app
import infra.network

LOGGING = "samples/apps/logging/logging"

# "steps" are called on one network, one after the other: "module:function",
# keyword arguments, and the text in the line at which it has to fail, or None.
# "run" are functions that start networks of their own; "skip" are functions that
# they do not get to call, "unsigned" cuts the last signature off the ledgers of
# nodes that have stopped.
GROUPS = {
    "governance": {  # row 24 without its disaster recovery
        "nodes": 2,
        "secondary": True,
        "args": {"initial_user_count": 3},
        "steps": [
            ("governance:" + name, {}, None)
            for name in """test_create_endpoint test_consensus_status test_member_data test_user test_jinja_templates
            test_no_quote test_node_data test_ack_state_digest_update test_each_node_cert_renewal
            test_binding_proposal_to_service_identity test_all_nodes_cert_renewal test_service_cert_renewal
            test_service_cert_renewal_extended""".split()
        ],
    },
    "reconfiguration": {  # row 58 without its historical queries
        "nodes": 3,
        "steps": [
            ("reconfiguration:test_version", {}, None),
            ("reconfiguration:test_issue_fake_join", {}, None),
            ("reconfiguration:test_ignore_first_sigterm", {}, None),
            ("reconfiguration:test_add_as_many_pending_nodes", {}, None),
            ("reconfiguration:test_add_node_invalid_service_cert", {}, None),
            ("reconfiguration:test_add_node", {"from_snapshot": False}, None),
            ("reconfiguration:test_add_node_with_read_only_ledger", {}, None),
            ("reconfiguration:test_join_straddling_primary_replacement", {}, None),
            ("reconfiguration:test_node_replacement", {}, None),
            ("reconfiguration:test_add_node_from_backup", {}, None),
            ("reconfiguration:test_add_node_endorsements_endpoints", {}, None),
            ("reconfiguration:test_add_node_on_other_curve", {}, None),
            ("reconfiguration:test_retire_backup", {}, None),
            ("reconfiguration:test_add_node", {}, None),
            ("reconfiguration:test_retire_primary", {}, None),
            ("reconfiguration:test_node_filter", {}, None),
            ("reconfiguration:test_retiring_nodes_emit_at_most_one_signature", {}, None),
            ("reconfiguration:test_node_certificates_validity_period", {}, None),
            ("reconfiguration:test_add_node_invalid_validity_period", {}, None),
            ("reconfiguration:test_ledger_invariants", {}, None),
        ],
    },
    "old_snapshot": {  # the second network of row 58
        "run": ["reconfiguration:run_join_old_snapshot"],
    },
    "batched": {  # row 41 without run_to_destruction
        "nodes": 3,
        "package": "js_generic",
        "args": {"max_msg_size_bytes": str(16 << 20)},
        "run": ["e2e_batched:run"],
    },
    "operations": {  # row 66 without run_ledger_chunk_bytes_check
        "args": {"initial_user_count": 1, "ledger_chunk_bytes": "1B"},
        "run": [
            "e2e_operations:run_" + name
            for name in """max_uncommitted_tx_count file_operations tls_san_checks config_timeout_check
            configuration_file_checks pid_file_check preopen_readiness_check sighup_check service_subject_name_check
            cose_signatures_config_check late_mounted_ledger_check empty_ledger_dir_check
            read_ledger_on_testdata""".split()
        ],
    },
    "jwt_auto": {  # row 31 without what needs the Internet
        "nodes": 3,
        "args": {"jwt_key_refresh_interval_s": 1, "issuer_port": 12345},
        "skip": ["jwt_test:test_jwt_key_refresh_aad"],
        "run": ["jwt_test:run_auto"],
    },
    "incomplete_ledger": {  # row 53 as meant: a node that stops has signed all here
        "nodes": 3,
        "args": {"with_unsigned_suffix": True},
        "unsigned": True,
        "run": ["recovery:run_recovery_with_incomplete_ledger"],
    },
    "partitions": {  # row 67
        "nodes": 3,
        "partitioner": True,
        "args": {"snapshot_tx_interval": 20},
        "steps": [
            ("partitions_test:test_invalid_partitions", {}, None),
            ("partitions_test:test_partition_majority", {}, "wait_for_primary_unanimity(min_view=initial_view)"),
            ("partitions_test:test_expired_certs", {}, None),
            ("partitions_test:test_isolate_and_reconnect_primary", {"iteration": 0}, "primary.wait_for_leadership_state("),
            ("partitions_test:test_forwarding_timeout", {}, "backup.wait_for_leadership_state("),
            ("partitions_test:test_session_consistency", {}, "wait_for_new_view(backup, r0.view, 4)"),
            ("partitions_test:test_ledger_invariants", {}, None),
        ],
    },
}


def load(name):
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def failing_line(error, function):
    """The line of the function through which the error came."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_code.co_name == function:
            return linecache.getline(frame.f_code.co_filename, line).strip()
    return ""


def judge(name, until, *args, **keywords):
    try:
        load(name)(*args, **keywords)
    except BaseException as error:  # each is judged by itself
        line = failing_line(error, name.partition(":")[2])
        if until and until in line:
            return "ok", f"up to: {line}"
        traceback.print_exc()
        return "FAIL", f"{type(error).__name__}: {str(error)[:200]!r} at: {line}"
    return ("FAIL", f"passed: {until}") if until else ("ok", "")


def skip(name):
    module, _, function = name.partition(":")
    setattr(importlib.import_module(module), function, lambda *args, **keywords: None)


def cut_signatures(path):
    """Takes the signatures off the end of a chunk that is not complete.

    Entries start after 8 bytes; each has a version, flags, and its size in 6 bytes.
    """
    with open(path, "r+b") as chunk:
        content = chunk.read()
        if int.from_bytes(content[:8], "little") != 0:
            return
        starts, at = [], 8
        while at < len(content):
            starts.append(at)
            at += 8 + int.from_bytes(content[at + 2 : at + 8], "little")
        while len(starts) > 1 and b"ccf.internal.signatures" in content[starts[-1] :]:
            content = content[: starts.pop()]
        chunk.truncate(len(content))


def leave_unsigned():
    """Lets nodes that stop lose the signatures that they wrote last, as by a crash."""
    stop = infra.network.Network.stop_all_nodes

    def stop_and_cut(self, *args, **keywords):
        result = stop(self, *args, **keywords)
        for node in self.nodes:
            for directory in node.remote.ledger_paths():
                for name in os.listdir(directory) if os.path.isdir(directory) else []:
                    if re.fullmatch(r"ledger_\d+", name):
                        cut_signatures(os.path.join(directory, name))
        return result

    infra.network.Network.stop_all_nodes = stop_and_cut


def run_steps(group, args):
    if group.get("partitioner"):
        import iptc
        from infra import partitions as cut
    txs = infra.logging_app.LoggingTxs("user0")
    partitioned = group.get("partitioner", False)
    with infra.network.network(
        args.nodes, args.binary_dir, args.debug_nodes, pdb=args.pdb, txs=txs, init_partitioner=partitioned
    ) as network:
        network.start_and_open(args)
        for name, keywords, until in group["steps"]:
            yield name, *judge(name, until, network, args, **keywords)
            if until:  # the rules of a function that did not come to its end
                iptc.easy.flush_chain("filter", cut.CCF_IPTABLES_CHAIN)
                network.wait_for_primary_unanimity()
                if len(network.get_joined_nodes()) > group["nodes"]:
                    network.resize(group["nodes"], args)


def run_networks(group, args):
    for name in group["run"]:
        yield name, *judge(name, None, copy.deepcopy(args))


def main():
    name = os.environ["CCF_GROUP"]
    group = GROUPS[name]

    def add(parser):
        for option in ("jinja-templates-path", "schema-dir", "ledger-tutorial", "config-samples-dir", "historical-testdata"):
            parser.add_argument("--" + option, default=None)

    args = copy.deepcopy(infra.e2e_args.cli_args(add))
    args.package = group.get("package", LOGGING)
    args.nodes = infra.e2e_args.nodes(args, group.get("nodes", 1))
    for function in group.get("skip", []):
        skip(function)
    if group.get("unsigned"):
        leave_unsigned()
    for key, value in group.get("args", {}).items():
        setattr(args, key, value)
    if group.get("secondary"):
        for host in args.nodes:
            host.rpc_interfaces.update(infra.interfaces.make_secondary_interface())
    failed = False
    lines = []
    try:
        for step, verdict, detail in (run_networks if "run" in group else run_steps)(group, args):
            failed |= verdict != "ok"
            lines.append(f"FUNCTION {name} {step.partition(':')[2]}: {verdict} {detail}".rstrip())
    finally:
        print("\n".join(lines))
    sys.exit(failed)


if __name__ == "__main__":
    main()
