package constitutions

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed default/*.js sandbox/*.js operator/*.js operator_provisioner/*.js veto/*.js roles/*.js
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

// Names are the constitutions that Files knows.
func Names() []string {
	return []string{"default", "sandbox", "operator", "operator_provisioner", "veto", "roles"}
}

// Files returns the parts of a constitution as files: "default" has all four,
// "roles" an action to put after the default ones, and every other the
// resolve.js that takes the place of the default one.
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

// joined makes one module of the parts, with the given resolve and with more
// actions after the default ones.
func joined(resolve string, more ...string) string {
	parts := append([]string{"default/actions.js"}, more...)
	parts = append(parts, "default/validate.js", resolve, "default/apply.js")
	for i, name := range parts {
		b, err := files.ReadFile(name)
		if err != nil {
			panic(err) // embedded: the build would have failed
		}
		parts[i] = string(b)
	}
	return strings.Join(parts, "\n")
}
