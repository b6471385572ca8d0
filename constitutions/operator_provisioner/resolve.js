// resolve for a service whose operators come and go without the members being
// asked each time. A provisioner is a member with is_operator_provisioner in
// its data, an operator one with is_operator; neither has an encryption key,
// and a member with both marks is a provisioner. A provisioner may propose to
// add and remove operators, which happens at once, and nothing else, which is
// rejected at once. Neither has a vote. Everything else, whoever else proposes
// it, takes more than half of the active members who are neither.

const members = () => ccf.kv["public:ccf.gov.members.info"];
const hasKey = (id) => ccf.kv["public:ccf.gov.members.encryption_public_keys"].has(ccf.strToBuf(id));

// roleOf is "provisioner", "operator", "voter" or, for who is no member,
// undefined.
function roleOf(id) {
  const bytes = typeof id === "string" ? members().get(ccf.strToBuf(id)) : undefined;
  if (bytes === undefined) return undefined;
  const data = ccf.bufToJsonCompatible(bytes).member_data;
  if (hasKey(id)) return "voter";
  if (data?.is_operator_provisioner) return "provisioner";
  return data?.is_operator ? "operator" : "voter";
}

// A new operator may not come with an encryption key: that would make it a
// member with a vote and a recovery share. Nor may it be a provisioner, or take
// the place of a member who is no operator.
function addsOperator(args) {
  const data = args?.member_data;
  if (!data?.is_operator || data.is_operator_provisioner) return false;
  if (args.encryption_pub_key != null || args.recovery_role != null) return false;
  return [undefined, "operator"].includes(roleOf(ccf.pemToId(args.cert)));
}

function isProvisioning({ name, args }) {
  if (name === "set_member") return addsOperator(args);
  return name === "remove_member" && roleOf(args?.member_id) === "operator";
}

export function resolve(proposal, proposerId, votes) {
  if (roleOf(proposerId) === "provisioner") {
    return JSON.parse(proposal).actions.every(isProvisioning) ? "Accepted" : "Rejected";
  }
  const voters = new Set();
  members().forEach((value, key) => {
    const id = ccf.bufToStr(key);
    if (ccf.bufToJsonCompatible(value).status === "Active" && roleOf(id) === "voter") voters.add(id);
  });
  const inFavour = votes.filter(({ member_id, vote }) => vote && voters.has(member_id)).length;
  return inFavour * 2 > voters.size ? "Accepted" : "Open";
}
