// resolve for a consortium in which nothing happens against anyone's will: one
// active member against it rejects a proposal, and more than half of the active
// members for it accept it. Whoever wants to object must do so before that. A
// ballot that fails is neither for nor against.
export function resolve(proposal, proposerId, votes) {
  const active = new Set();
  ccf.kv["public:ccf.gov.members.info"].forEach((value, key) => {
    if (ccf.bufToJsonCompatible(value).status === "Active") active.add(ccf.bufToStr(key));
  });
  const counted = votes.filter(({ member_id }) => active.has(member_id));
  if (counted.some(({ vote }) => !vote)) return "Rejected";
  return counted.length * 2 > active.size ? "Accepted" : "Open";
}
