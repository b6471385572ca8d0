package provision

import (
	"errors"
	"strings"
	"testing"

	"synod/constitutions"
	"synod/internal/arm"
	"synod/internal/conlint"
)

// TestConstitutionOfOnesOwn refuses those under which a network could not be looked
// after, and says what is missing.
func TestConstitutionOfOnesOwn(t *testing.T) {
	t.Parallel()
	small := `const may = ["remove_node"];
export function validate(input) {
  const { actions } = JSON.parse(input);
  return { valid: Array.isArray(actions) && actions.every(({ name }) => may.includes(name)), description: "" };
}
export function resolve(proposal, proposerId, votes) {
  const info = ccf.bufToJsonCompatible(ccf.kv["public:ccf.gov.members.info"].get(ccf.strToBuf(proposerId)) ?? ccf.strToBuf("{}"));
  return info.member_data?.is_operator && JSON.parse(proposal).actions.every(({ name }) => may.includes(name)) ? "Accepted" : "Open";
}
export function apply(proposal, proposalId) {}
`
	for name, tc := range map[string]struct{ text, code, says string }{
		"denies":         {small, "ConstitutionDeniesOperator", "transition_node_to_trusted"},
		"does not parse": {"export function {", "ConstitutionInvalid", "line 1"},
		"empty":          {" ", "Constitution", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &worker{net: arm.Network{Desired: arm.Desired{Constitution: tc.text}}}
			err := w.checkConstitution(t.Context())
			var wrong *arm.Error
			if !errors.As(err, &wrong) || !strings.HasPrefix(wrong.Code, tc.code) || !strings.Contains(wrong.Message, tc.says) {
				t.Errorf("%v", err)
			}
		})
	}
	// What the shipped one lets the operator do is known: linting it takes seconds.
	report := &conlint.Report{}
	for _, name := range append([]string{"set_user"}, needs...) {
		a := conlint.Action{Name: name}
		if name != "set_user" {
			a.Alone = []string{"is_operator", "is_operator with recovery key"}
		}
		report.Actions = append(report.Actions, a)
	}
	if err := denied(report); err != nil {
		t.Error(err)
	}
	for _, name := range needs {
		if !strings.Contains(constitutions.Managed(), `"`+name+`"`) {
			t.Errorf("the managed constitution lacks %s", name)
		}
	}
}
