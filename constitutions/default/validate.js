// validate says whether a proposal is one that this service could carry out.
// A text that is not JSON throws.
export function validate(input) {
  const proposal = JSON.parse(input);
  if (!Array.isArray(proposal?.actions)) {
    return { valid: false, description: "a proposal must be an object with an array of actions" };
  }
  const faults = proposal.actions.flatMap((proposed, position) => {
    const action = actions.get(proposed?.name);
    if (action === undefined) return [`${proposed?.name}: no such action`];
    try {
      action.check(proposed.args);
      return [];
    } catch (e) {
      return [`${proposed.name} at position ${position} failed validation: ${e}`];
    }
  });
  return { valid: faults.length === 0, description: faults.join(", ") };
}
