package provision

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"synod/constitutions"
)

//go:embed sample/bank.js
var sampleModule string

// sampleAction is the action of the sample's constitution that installs it.
const sampleAction = "install_sample_application"

// sampleBundle is the sample application as members could deploy it.
func sampleBundle() map[string]any {
	endpoint := func(function, mode string) map[string]any {
		return map[string]any{
			"js_module": "bank.js", "js_function": function, "mode": mode, "forwarding_required": map[string]string{"readwrite": "always", "readonly": "sometimes"}[mode],
			"authn_policies": []string{"user_cert", "member_cert"}, "openapi": map[string]any{},
		}
	}
	return map[string]any{
		"modules": []any{map[string]any{"name": "bank.js", "module": sampleModule}},
		"metadata": map[string]any{"endpoints": map[string]any{
			"/account/{account}":  map[string]any{"put": endpoint("openAccount", "readwrite"), "get": endpoint("getBalance", "readonly")},
			"/deposit/{account}":  map[string]any{"post": endpoint("deposit", "readwrite")},
			"/transfer/{account}": map[string]any{"post": endpoint("transfer", "readwrite")},
		}},
	}
}

// sampleConstitution is the managed constitution with one more action, which
// installs the sample. The application is in the text, so members who read their
// rules see what the operator may install before the service opens, and that it
// may install nothing else.
func sampleConstitution() (string, error) {
	bundle, err := json.Marshal(sampleBundle()) // is JavaScript, too: it escapes what would not be
	if err != nil {
		return "", fmt.Errorf("encode the sample application: %w", err)
	}
	return constitutions.Managed(fmt.Sprintf(`// The application that this service was created with.
actions.set(%q, {
  check: wantsNothing,
  run: () => actions.get("set_js_app").run({ bundle: %s }),
});
`, sampleAction, bundle)), nil
}
