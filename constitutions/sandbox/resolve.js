// resolve for a developer's own service with one member: whatever is proposed
// happens at once, without a vote.
export function resolve(proposal, proposerId, votes) {
  return "Accepted";
}
