package constitutions

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed default/*.js sandbox/*.js operator/*.js operator_provisioner/*.js veto/*.js roles/*.js managed/*.js
var files embed.FS

// Default returns the constitution under which a majority of the active
// members decides.
func Default() string { return joined("default/resolve.js") }

// Sandbox returns the constitution under which every proposal passes at once:
// for a developer's own service.
func Sandbox() string { return joined("sandbox/resolve.js") }

// Operator returns the constitution under which operators, members marked so
// and without a vote, add and remove one another; the majority of the other
// active members decides everything else.
func Operator() string { return joined("operator/resolve.js") }

// OperatorProvisioner returns the constitution under which provisioners,
// members marked so, add and remove operators and can do nothing else; the
// majority of the active members who are neither decides everything else.
func OperatorProvisioner() string { return joined("operator_provisioner/resolve.js") }

// Veto returns the constitution under which one active member against a
// proposal ends it; otherwise a majority decides, as in the default one.
func Veto() string { return joined("veto/resolve.js") }

// Roles returns the default constitution with one more action,
// set_role_definition, for applications that keep roles in their tables.
func Roles() string { return joined("default/resolve.js", "roles/set_role_definition.js") }

// Managed returns the constitution of services that a managed service runs: the
// operator, a member marked so and without a vote, passes alone what running
// nodes takes; a majority of the other active members decides everything else.
// It has two more actions, approve_release and withdraw_release. more are files
// to put after those, such as one that adds an action of the service's own.
func Managed(more ...string) string {
	return joinedWith(more, "managed/resolve.js", "managed/releases.js")
}

// Names are the constitutions that Files knows.
func Names() []string {
	return []string{"default", "sandbox", "operator", "operator_provisioner", "veto", "roles", "managed"}
}

// Files returns the parts of a constitution as files: "default" has all four,
// "roles" an action to put after the default ones, every other the resolve.js
// that takes the place of the default one, "managed" also actions.
func Files(name string) (fs.FS, error) {
	sub, err := fs.Sub(files, name)
	if err != nil {
		return nil, err
	}
	if _, err := fs.Stat(sub, "."); err != nil {
		return nil, fmt.Errorf("no constitution %q: %w", name, err)
	}
	return sub, nil
}

// Parts returns the files that make up a constitution, in the order in which
// they are joined, by their names in the folder constitutions.
func Parts(name string) ([]string, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("no constitution %q: want one of %s", name, strings.Join(Names(), ", "))
	}
	switch name {
	case "roles":
		return parts("default/resolve.js", "roles/set_role_definition.js"), nil
	case "managed":
		return parts("managed/resolve.js", "managed/releases.js"), nil
	}
	return parts(name + "/resolve.js"), nil
}

func parts(resolve string, more ...string) []string {
	return slices.Concat([]string{"default/actions.js"}, more, []string{"default/validate.js", resolve, "default/apply.js"})
}

// joined makes one module of the parts, with the given resolve and with more
// actions after the default ones.
func joined(resolve string, more ...string) string { return joinedWith(nil, resolve, more...) }

// joinedWith is joined with texts after the actions.
func joinedWith(texts []string, resolve string, more ...string) string {
	var all []string
	for _, name := range parts(resolve, more...) {
		if name == "default/validate.js" {
			all = append(all, texts...)
		}
		b, err := files.ReadFile(name)
		if err != nil {
			panic(err) // embedded: the build would have failed
		}
		all = append(all, string(b))
	}
	return strings.Join(all, "\n")
}
