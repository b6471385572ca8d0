// resolve for a consortium whose members leave the running of the service to
// operators. An operator is a member with is_operator in its data and without
// an encryption key. Operators have no vote. What they propose passes at once
// if it is nothing but their own business: to add or remove operators, and the
// actions named below. Everything else takes more than half of the active
// members who are no operators.

// Actions that an operator carries out alone. The default actions have none of
// these names: they are for actions that a service adds under them.
const OPERATOR_ACTIONS = ["trust_node", "retire_node", "new_node_code"];

const members = () => ccf.kv["public:ccf.gov.members.info"];
const hasKey = (id) => ccf.kv["public:ccf.gov.members.encryption_public_keys"].has(ccf.strToBuf(id));

function infoOf(id) {
  const bytes = typeof id === "string" ? members().get(ccf.strToBuf(id)) : undefined;
  return bytes === undefined ? undefined : ccf.bufToJsonCompatible(bytes);
}

const isOperator = (id) => Boolean(infoOf(id)?.member_data?.is_operator) && !hasKey(id);

// A new operator may not come with an encryption key: that would make it a
// member with a vote and a recovery share. Nor may it take the place of a
// member who has a vote now.
function addsOperator(args) {
  if (!args?.member_data?.is_operator) return false;
  if (args.encryption_pub_key != null || args.recovery_role != null) return false;
  const id = ccf.pemToId(args.cert);
  return infoOf(id) === undefined || isOperator(id);
}

function isOperatorBusiness({ name, args }) {
  if (name === "set_member") return addsOperator(args);
  if (name === "remove_member") return isOperator(args?.member_id);
  return OPERATOR_ACTIONS.includes(name);
}

export function resolve(proposal, proposerId, votes) {
  const voters = new Set();
  members().forEach((value, key) => {
    const id = ccf.bufToStr(key);
    if (ccf.bufToJsonCompatible(value).status === "Active" && !isOperator(id)) voters.add(id);
  });
  const inFavour = votes.filter(({ member_id, vote }) => vote && voters.has(member_id)).length;
  if (inFavour * 2 > voters.size) return "Accepted";

  if (isOperator(proposerId) && JSON.parse(proposal).actions.every(isOperatorBusiness)) return "Accepted";
  return "Open";
}
