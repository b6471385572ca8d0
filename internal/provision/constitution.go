package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"synod/internal/arm"
	"synod/internal/conlint"
)

// needs are the actions that the operator has to pass alone: without them no node
// can be replaced and no certificate renewed.
var needs = []string{
	"transition_node_to_trusted", "remove_node", "set_all_nodes_certificate_validity", "set_service_certificate_validity", "trigger_snapshot",
}

// checkConstitution says whether a network with a constitution of its user's could be
// looked after, before anything is made.
func (w *worker) checkConstitution(ctx context.Context) error {
	text := w.net.Desired.Constitution
	if w.checked == text {
		return nil
	}
	report, err := conlint.Lint(ctx, []conlint.File{{Name: "constitution.js", Text: text}}, conlint.Options{})
	if err != nil {
		return fmt.Errorf("read the constitution: %w", err)
	}
	if wrong := denied(report); wrong != nil {
		return wrong
	}
	w.checked = text
	return nil
}

// denied is what a constitution keeps the operator from, as an error, or nil.
func denied(report *conlint.Report) error {
	const target = "properties.constitution"
	var missing []string
	for _, name := range needs {
		passes := slices.ContainsFunc(report.Actions, func(a conlint.Action) bool {
			return a.Name == name && slices.Contains(a.Alone, "is_operator")
		})
		if !passes {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if len(report.Actions) == 0 {
		text := "it has no actions"
		if len(report.Findings) > 0 {
			f := report.Findings[0]
			text = fmt.Sprintf("line %d: %s", f.Line, f.What)
		}
		return &arm.Error{Code: CodeConstitutionInvalid, Target: target, Message: "The constitution cannot be used: " + text + "."}
	}
	return &arm.Error{Code: CodeConstitutionDeniesOperator, Target: target, Message: fmt.Sprintf(
		"The constitution does not let the operator, a member with is_operator in its data, pass alone: %s. Without that nodes cannot be replaced nor certificates renewed. Start from the shipped constitution (synod constitution lint managed).",
		strings.Join(missing, ", "))}
}
