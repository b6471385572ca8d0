package conlint

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"synod/internal/tables"
)

// request is an action with arguments, as a proposal has it.
type request struct {
	name, variant string
	args          any    // nil for none
	mayMark       bool   // concerns nobody but marked members without recovery key
	odd           string // what is unusual about it, "" for nothing
}

// action is the JSON of one action.
func (r request) action() map[string]any {
	a := map[string]any{"name": r.name}
	if r.args != nil {
		a["args"] = r.args
	}
	return a
}

// proposal is the text of a proposal of these requests.
func proposal(all ...request) string {
	list := make([]any, len(all))
	for i, r := range all {
		list[i] = r.action()
	}
	b, _ := json.Marshal(map[string]any{"actions": list}) // of texts, numbers and lists
	return string(b)
}

type args = map[string]any

// sound is a constitution that set_constitution can be given.
const sound = `export function validate(input) { return { valid: true }; }
export function resolve(proposal, proposerId, votes) { return "Open"; }
export function apply(proposal, proposalId) {}`

// known are arguments for the actions of CCF's default constitution and its
// samples (CCF: samples/constitutions/default/actions.js).
func (s *service) known() map[string]any {
	const from = "20251123145045Z"
	jwks := args{"keys": []any{args{"kid": "k", "kty": "RSA", "n": "AQAB", "e": "AQAB"}}}
	endpoint := args{"js_module": "a.js", "js_function": "f", "mode": "readonly", "forwarding_required": "never", "authn_policies": []any{"jwt"}}
	return map[string]any{
		"set_constitution":                   args{"constitution": sound},
		"transition_service_to_open":         args{"next_service_identity": s.cert, "previous_service_identity": s.cert},
		"assert_service_identity":            args{"service_identity": s.cert},
		"set_recovery_threshold":             args{"recovery_threshold": 2},
		"set_sealed_resume":                  args{"allowed": true},
		"set_service_configuration":          args{"recovery_threshold": 2, "recent_cose_proposals_window_size": 10},
		"set_service_certificate_validity":   args{"valid_from": from, "validity_period_days": 3},
		"trigger_ledger_rekey":               nil,
		"trigger_recovery_shares_refresh":    nil,
		"trigger_ledger_chunk":               nil,
		"trigger_snapshot":                   nil,
		"set_user":                           args{"cert": s.cert, "user_data": args{"a": 1}},
		"remove_user":                        args{"user_id": idOf("user")},
		"set_user_data":                      args{"user_id": idOf("user"), "user_data": args{"a": 1}},
		"set_js_app":                         args{"bundle": args{"modules": []any{args{"name": "a.js", "module": "export function f() {}"}}, "metadata": args{"endpoints": args{"/x": args{"get": endpoint}}}}},
		"remove_js_app":                      nil,
		"refresh_js_app_bytecode_cache":      nil,
		"set_js_runtime_options":             args{"max_heap_bytes": 1 << 20, "max_stack_bytes": 1 << 20, "max_execution_time_ms": 1000},
		"set_ca_cert_bundle":                 args{"name": "n", "cert_bundle": s.cert},
		"remove_ca_cert_bundle":              args{"name": "n"},
		"set_jwt_issuer":                     args{"issuer": "https://issuer.example", "auto_refresh": false, "jwks": jwks},
		"set_jwt_public_signing_keys":        args{"issuer": "https://issuer.example", "jwks": jwks},
		"remove_jwt_issuer":                  args{"issuer": "https://issuer.example"},
		"set_node_data":                      args{"node_id": s.trusted, "node_data": args{"a": 1}},
		"transition_node_to_trusted":         args{"node_id": s.pending, "valid_from": from, "validity_period_days": 3},
		"remove_node":                        args{"node_id": s.trusted},
		"set_node_certificate_validity":      args{"node_id": s.trusted, "valid_from": from, "validity_period_days": 3},
		"set_all_nodes_certificate_validity": args{"valid_from": from, "validity_period_days": 3},
		"add_virtual_measurement":            args{"measurement": "m"},
		"remove_virtual_measurement":         args{"measurement": "m"},
		"add_virtual_host_data":              args{"host_data": "h"},
		"remove_virtual_host_data":           args{"host_data": "h"},
		"add_snp_measurement":                args{"measurement": "m"},
		"remove_snp_measurement":             args{"measurement": "m"},
		"add_snp_host_data":                  args{"host_data": idOf("host data"), "security_policy": ""},
		"remove_snp_host_data":               args{"host_data": idOf("host data")},
		"add_snp_uvm_endorsement":            args{"did": "did:x", "feed": "feed", "svn": "1"},
		"remove_snp_uvm_endorsement":         args{"did": "did:x", "feed": "feed"},
		"set_snp_minimum_tcb_version":        args{"cpuid": "00a00f11", "tcb_version": args{"boot_loader": 1, "tee": 2, "snp": 3, "microcode": 4}},
		"set_snp_minimum_tcb_version_hex":    args{"cpuid": "00a00f11", "tcb_version": "d315000000000004"},
		"remove_snp_minimum_tcb_version":     args{"cpuid": "00a00f11"},
		"add_node_code":                      args{"code_id": strings.Repeat("ab", 32)},
		"remove_node_code":                   args{"code_id": strings.Repeat("ab", 32)},
		"approve_release":                    args{"release": "r", "allow": args{"virtual_host_data": []any{"h"}}, "disallow": args{"virtual_host_data": []any{"g"}}},
		"withdraw_release":                   args{"release": "r"},
		"set_role_definition":                args{"role": "auditor", "actions": []any{"/log/read"}},
		"set_member":                         args{"cert": s.cert, "encryption_pub_key": s.encryptionKey, "member_data": args{"a": 1}, "recovery_role": "Participant"},
		"remove_member":                      args{"member_id": s.secondID},
		"set_member_data":                    args{"member_id": idOf("member 0"), "member_data": args{"a": 1}},
	}
}

// variants are more ways to use the actions about members: with each mark that
// the text looks at.
func (s *service) variants(name string, kinds []kind, marks []mark) []request {
	var all []request
	if name == "remove_member" {
		all = append(all, request{name: name, variant: "nobody", args: args{"member_id": idOf("nobody")}, odd: "the member to remove is not there"})
	}
	for _, m := range marks {
		data := args{m.field: m.value}
		switch name {
		case "set_member":
			all = append(all,
				request{name, "new " + m.String(), args{"cert": s.cert, "member_data": data}, true, ""},
				request{name, "new " + m.String() + " with recovery key", args{"cert": s.cert, "encryption_pub_key": s.encryptionKey, "member_data": data}, false, ""},
				request{name, "a member replaced by " + m.String(), args{"cert": s.second, "member_data": data}, false, ""})
		case "set_member_data":
			all = append(all, request{name, "a member becomes " + m.String(), args{"member_id": idOf("member 0"), "member_data": data}, false, ""})
		case "remove_member":
			for _, k := range kinds {
				if k.name == m.String() {
					all = append(all, request{name, "a " + m.String(), args{"member_id": k.person.id}, true, ""})
				}
			}
		}
	}
	return all
}

// wrongTypes are the arguments with one of them of another type, by its name;
// only texts, whose form apply relies on.
func (r request) wrongTypes() map[string]any {
	given, ok := r.args.(args)
	if !ok {
		return nil
	}
	all := map[string]any{}
	for name, v := range given {
		if _, ok := v.(string); ok {
			changed := maps.Clone(given)
			changed[name] = 7
			all[name] = changed
		}
	}
	return all
}

// garbage is what no action means as its arguments.
var garbage = []any{nil, "text", 7, []any{}, args{}}

// unusual are garbage, and the arguments with each in turn left out or of
// another kind.
func (r request) unusual() []any {
	all := slices.Clone(garbage)
	given, _ := r.args.(args)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		for _, v := range []any{"text", -1, args{"keys": []any{args{}}}, []any{args{}}} {
			with := maps.Clone(given)
			with[name] = v
			all = append(all, with)
		}
		without := maps.Clone(given)
		delete(without, name)
		all = append(all, without)
	}
	return all
}

// values are what an argument of an unknown action is tried with.
func (s *service) values() []any {
	return []any{
		"text", 1, true,
		[]any{"text"},
		args{"a": 1},
		idOf("value"), s.cert,
		[]any{},
		args{},
		"https://x.example", 0.5,
		idOf("member 0"), s.trusted, string(tables.MemberActive),
	}
}

// guess looks for arguments that validate takes, by putting fields whose names
// its complaints contain in until they stop. complaint is "" if there is none.
func (s *service) guess(fields []string, complaint func(any) (string, error)) (any, bool, error) {
	const attemptsMax, askedMax = 12, 500
	asked, ask := 0, complaint
	complaint = func(a any) (string, error) {
		if asked++; asked > askedMax {
			return "no more tries", nil
		}
		return ask(a)
	}
	best, err := complaint(nil)
	if err != nil || best == "" {
		return nil, best == "", err
	}
	given := args{}
	if best, err = complaint(given); err != nil || best == "" {
		return given, best == "", err
	}
	for range attemptsMax {
		name, value, next, err := s.better(fields, given, best, complaint)
		if err != nil || name == "" {
			return nil, false, err
		}
		given[name], best = value, next
		if best == "" {
			return given, true, nil
		}
	}
	return nil, false, nil
}

// better finds a value for a field that a complaint names, such that the next
// complaint does not name it.
func (s *service) better(fields []string, given args, complained string, complaint func(any) (string, error)) (string, any, string, error) {
	for _, name := range fields {
		if _, done := given[name]; done || !mentions(complained, name) {
			continue
		}
		for _, v := range s.values() {
			with := maps.Clone(given)
			with[name] = v
			next, err := complaint(with)
			if err != nil {
				return "", nil, "", err
			}
			if next != complained && !mentions(next, name) {
				return name, v, next, nil
			}
		}
	}
	return "", nil, "", nil
}

// mentions says whether a text has a name as a word of its own.
func mentions(text, name string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}), name)
}
