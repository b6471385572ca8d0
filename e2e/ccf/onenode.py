"""Functions of CCF's suites on a service of one node.

Most sub-runs of CCF start two nodes although few of their functions need a
second one. This imports the modules of a checkout and calls those functions,
one after the other, each judged by itself; no code of CCF is in here.
Run it through e2e/ccf/run, rows o1 and up.
"""

import copy
import importlib
import os
import sys
import traceback

import infra.e2e_args
import infra.interfaces
import infra.logging_app
import infra.network

# group: (binary, bundle below the tree or None, functions as module:name)
GROUPS = {
    "governance_js": (
        "samples/apps/logging/logging",
        None,
        """governance_js: test_all_open_proposals test_proposal_validation test_proposal_storage
        test_proposal_withdrawal test_ballot_storage test_pure_proposals test_set_constitution
        test_set_constitution_validation test_proposals_with_votes test_check_proposal_id_is_set_correctly
        test_vote_failure_reporting test_operator_proposals_and_votes
        test_operator_provisioner_proposals_and_votes test_apply test_read_write_restrictions
        test_final_proposal_visibility test_proposal_replay_protection test_cose_msg_type_validation
        governance_js:! test_ledger_governance_invariants""",
    ),
    "governance_api": (
        "samples/apps/logging/logging",
        None,
        "governance_api: test_api_service_state test_api_transactions",
    ),
    "memberclient": (
        "samples/apps/logging/logging",
        None,
        "memberclient: test_missing_signature_header test_corrupted_signature test_governance",
    ),
    "js_api": (
        "js_generic",
        "tests/js-api",
        "js-custom-authorization/custom_authorization: test_request_object_api test_datetime_api",
    ),
    "js_authn": (
        "js_generic",
        "tests/js-authentication",
        """js-custom-authorization/custom_authorization: test_cert_auth test_jwt_auth test_jwt_auth_raw_key
        test_jwt_auth_msft_single_tenant test_jwt_auth_msft_multitenancy
        test_jwt_auth_msft_same_kids_different_issuers test_jwt_auth_msft_same_kids_overwrite_constraint
        test_role_based_access""",
    ),
    "js_modules": (
        "js_generic",
        None,
        """npm_tests: build_npm_app js-modules/modules: test_js_exception_output test_module_import
        test_module_access test_bytecode_cache test_app_bundle test_dynamic_endpoints test_set_js_runtime
        npm_tests: deploy_npm_app test_npm_app
        js-modules/modules: test_js_execution_time test_user_cose_authentication e2e_logging: test_multi_auth""",
    ),
    "js_reuse": (
        "js_generic",
        "tests/js-interpreter-reuse/dist",
        """js-custom-authorization/custom_authorization: test_reused_interpreter_behaviour
        test_caching_of_kv_handles test_caching_of_app_code""",
    ),
    "logging": (
        "samples/apps/logging/logging",
        None,
        """e2e_logging: test_basic_constraints test_remove test_clear test_record_count
        test_user_data_ACL
        test_cert_prefix test_anonymous_caller test_multi_auth test_custom_auth test_custom_auth_safety
        test_raw_text test_view_history test_empty_path test_post_local_commit_failure test_committed_index
        test_liveness test_rekey test_liveness test_genesis_receipt test_etags test_cose_config
        test_tx_statuses test_invalid_txids
        e2e_common_endpoints: test_node_ids test_memory test_large_messages test_readiness""",
    ),
    "logging_cddl": (
        "samples/apps/logging/logging",
        None,
        "e2e_logging: test_cbor_merkle_proof test_cose_signature_schema test_cose_receipt_schema",
    ),
    "history": (
        "samples/apps/logging/logging",
        None,
        """e2e_logging: test_historical_query test_historical_receipts test_historical_receipts_with_claims
        test_genesis_receipt test_historical_query_range test_historical_query_sparse test_view_history
        test_receipts test_rekey test_random_receipts test_historical_query test_historical_receipts""",
    ),
    "history_js": (
        "js_generic",
        "samples/apps/logging/js",
        """e2e_logging: test_historical_query test_historical_receipts test_historical_receipts_with_claims
        test_genesis_receipt test_historical_query_range test_view_history test_receipts test_rekey
        test_random_receipts test_historical_query test_historical_receipts""",
    ),
    "logging_js": (
        "js_generic",
        "samples/apps/logging/js",
        """e2e_logging: test_basic_constraints test_remove test_clear test_record_count test_user_data_ACL
        test_cert_prefix test_anonymous_caller test_multi_auth test_custom_auth test_custom_auth_safety
        test_raw_text test_view_history test_empty_path test_liveness test_rekey test_liveness""",
    ),
    "programmability": (
        "samples/apps/programmability/programmability",
        None,
        """programmability: test_custom_endpoints test_custom_endpoints_circular_includes
        test_custom_endpoints_kv_restrictions test_custom_role_definitions test_custom_endpoints_js_options
        npm_tests: build_npm_app programmability: deploy_npm_app_custom npm_tests: test_npm_app""",
    ),
    "nobuiltins": ("samples/apps/nobuiltins/nobuiltins", None, "nobuiltins: test_nobuiltins_endpoints"),
    "ca_certs": ("samples/apps/logging/logging", None, "ca_certs: test_cert_store"),
}


def functions(spec):
    """The functions of a group, and whether each wants a stopped network."""
    module, stopped = None, False
    for word in spec.split():
        name, colon, mark = word.partition(":")
        if colon:
            path, name = os.path.split(name)
            sys.path.append(os.path.join(os.environ["CCF_TESTS"], path))
            module, stopped = importlib.import_module(name), mark == "!"
        else:
            yield name, getattr(module, name), stopped


def main():
    group = os.environ["CCF_GROUP"]
    package, bundle, spec = GROUPS[group]

    def add(parser):
        parser.add_argument("--jinja-templates-path", default=None)

    args = infra.e2e_args.cli_args(add)
    args = copy.deepcopy(args)
    args.package, args.nodes = package, infra.e2e_args.nodes(args, 1)
    args.throws_if_reqs_not_met = True
    args.initial_user_count, args.initial_member_count = 4, 1 if group == "programmability" else 3
    args.initial_operator_count = 1 if group == "governance_js" else 0
    tree = os.path.dirname(os.environ["CCF_TESTS"])
    if bundle:
        args.js_app_bundle = os.path.join(tree, bundle)
    for host in args.nodes:
        for name in ("first_interface", "second_interface"):
            host.rpc_interfaces[name] = infra.interfaces.RPCInterface(host="127.0.0.1")
    results = {}
    txs = infra.logging_app.LoggingTxs("user0")
    with infra.network.network(
        args.nodes, args.binary_dir, args.debug_nodes, pdb=args.pdb, txs=txs
    ) as network:
        network.start_and_open(args)
        # Functions that only want some other node to ask get the one there is.
        network.find_any_backup = lambda *_, **__: network.nodes[0]
        network.find_primary_and_any_backup = lambda *_, **__: (network.nodes[0],) * 2
        if group.startswith("history"):
            network.find_nodes = lambda *_, **__: (network.nodes[0], [network.nodes[0]])
            network.get_joined_nodes = lambda: network.nodes * 2
        if group == "programmability":
            network.consortium.set_user_data(
                network.nodes[0], network.users[0].service_id, user_data={"isAdmin": True}
            )
        running = True
        for name, function, stopped in functions(spec):
            if stopped and running:
                network.stop_all_nodes()
                running = False
            try:
                function(network, args)
                results[name] = "ok"
            except BaseException as e:  # each is judged by itself
                traceback.print_exc()
                results[name] = f"FAIL {type(e).__name__}: {str(e)[:200]!r}"
    for name, result in results.items():
        print(f"FUNCTION {group} {name}: {result}")
    sys.exit(any(r != "ok" for r in results.values()))


if __name__ == "__main__":
    main()
