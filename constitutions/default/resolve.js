// resolve accepts a proposal once more than half of the active members are for
// it. Nothing is rejected: members may still change the balance by joining or
// leaving, and the proposer may withdraw. Ballots of members who have left, or
// are not active, do not count.
export function resolve(proposal, proposerId, votes) {
  const active = new Set();
  ccf.kv["public:ccf.gov.members.info"].forEach((value, key) => {
    if (ccf.bufToJsonCompatible(value).status === "Active") active.add(ccf.bufToStr(key));
  });
  const inFavour = votes.filter(({ member_id, vote }) => vote && active.has(member_id)).length;
  return inFavour * 2 > active.size ? "Accepted" : "Open";
}
