// apply carries an accepted proposal out, action by action in its order.
export function apply(proposal, proposalId) {
  for (const { name, args } of JSON.parse(proposal).actions) actions.get(name).run(args, proposalId);
}
