// One more action, for applications that know roles: it replaces the set of
// what a role may do. Put this file after actions.js and before validate.js.
//
// The role is the table public:programmability.roles.<role>; each thing that
// it may do is a key, as a JSON text, whose value says nothing.
actions.set("set_role_definition", {
  check: wants({ role: kind.string, actions: kind.each(kind.string) }),
  run(args) {
    const role = ccf.kv["public:programmability.roles." + args.role];
    role.clear();
    for (const action of args.actions) role.set(ccf.jsonCompatibleToBuf(action), IN_SET);
  },
});
