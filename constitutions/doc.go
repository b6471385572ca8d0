// Package constitutions holds the constitutions that come with Synod: what
// members may propose, when a proposal passes and what it does then.
//
// A constitution is one JavaScript module that exports validate, resolve and
// apply. It is kept here in parts, joined by one newline in the order of
// CCF's sample: actions, validate, resolve, apply. The default one has the
// actions and rules of CCF's default constitution; docs/differences-from-ccf.md
// says where it is stricter.
//
// The others differ in one part each: sandbox, operator, operator_provisioner
// and veto in resolve; roles adds an action after the default ones, managed two
// and another resolve. A service's
// configuration names the parts as files, in this order:
//
//	default/actions.js  [roles/set_role_definition.js | managed/releases.js]  default/validate.js
//	(default | sandbox | operator | operator_provisioner | veto | managed)/resolve.js
//	default/apply.js
//
// The actions for virtual measurements and host data, a file of its own in
// CCF's samples, are among the default ones here.
//
// What it is not: nothing here runs a constitution (see internal/gov), and a
// service keeps the text that it started with, whatever this package says
// later.
//
// The package starts no goroutine and everything in it may be used from
// several. Reading order: default/validate.js, default/resolve.js,
// default/apply.js, default/actions.js, the other folders, constitutions.go.
package constitutions
