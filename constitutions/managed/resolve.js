// resolve for a service that a managed service runs for its members. The
// operator is a member with is_operator in its data. It has no vote, whether it
// holds a recovery key or not, and passes alone what running nodes takes: the
// actions below and no others. It never changes the application, users, members,
// or these rules, and lets no code join. Everything takes more than half of the
// active members who are no operators.

const OPERATOR_ACTIONS = [
  "transition_node_to_trusted", // only a node whose evidence passed the join policy is Pending
  "remove_node",
  "set_node_data",
  "set_node_certificate_validity",
  "set_all_nodes_certificate_validity",
  "set_service_certificate_validity",
  "trigger_ledger_chunk",
  "trigger_snapshot",
];

// What makes a new service usable, until it has been opened for the first time. To
// open one that was recovered is for members, unless none of them can recover it:
// then they have left that to the operator, who holds the only share.
const OPENING_ACTIONS = ["transition_service_to_open", "install_sample_application"];

function infoOf(id) {
  const bytes = ccf.kv["public:ccf.gov.members.info"].get(ccf.strToBuf(id));
  return bytes === undefined ? undefined : ccf.bufToJsonCompatible(bytes);
}

const isOperator = (info) => info?.status === "Active" && Boolean(info.member_data?.is_operator);

function isOnlyHolder(id) {
  const holders = [];
  ccf.kv["public:ccf.gov.members.encryption_public_keys"].forEach((_, key) => holders.push(ccf.bufToStr(key)));
  return holders.length === 1 && holders[0] === id;
}

const isOperatorBusiness = (id) => ({ name, args }) => {
  if (OPERATOR_ACTIONS.includes(name)) return true;
  const { status } = serviceInfo();
  if (OPENING_ACTIONS.includes(name) && status === "Opening") return true;
  if (name === "transition_service_to_open" && status === "Recovering") return isOnlyHolder(id);
  // Code that an approved release took the place of.
  return Object.entries(JOINERS).some(
    ([what, { action, field }]) => name === action.replace("add_", "remove_") && wasReplaced(what, args[field]),
  );
};

export function resolve(proposal, proposerId, votes) {
  const voters = new Set();
  ccf.kv["public:ccf.gov.members.info"].forEach((value, key) => {
    const info = ccf.bufToJsonCompatible(value);
    if (info.status === "Active" && !isOperator(info)) voters.add(ccf.bufToStr(key));
  });
  const inFavour = votes.filter(({ member_id, vote }) => vote && voters.has(member_id)).length;
  if (inFavour * 2 > voters.size) return "Accepted";

  const { actions: proposed } = JSON.parse(proposal);
  if (isOperator(infoOf(proposerId)) && proposed.length > 0 && proposed.every(isOperatorBusiness(proposerId))) return "Accepted";
  return "Open";
}
