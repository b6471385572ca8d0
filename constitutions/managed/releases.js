// Two more actions, for services whose nodes a managed service replaces and
// upgrades. Put this file after actions.js and before validate.js.
//
// approve_release lets the code of a release join, and names the code that it
// takes the place of. The nodes are changed then, one by one, and code of both
// may join meanwhile; what was replaced goes out of the join policy at the end,
// with the action that removes it. resolve.js lets an operator do that last
// step alone, and nothing else with the join policy.

const RELEASES = "synod.releases"; // name → { allow, disallow }

// What may be approved, by the name that it has in the arguments: the action
// that lets it join and the field that this wants. Each is a list of texts.
const JOINERS = {
  virtual_host_data: { action: "add_virtual_host_data", field: "host_data" },
  virtual_measurement: { action: "add_virtual_measurement", field: "measurement" },
  snp_measurement: { action: "add_snp_measurement", field: "measurement" },
};

function joiners(value, name) {
  kind.object(value, name);
  for (const [what, list] of Object.entries(value)) {
    if (!Object.hasOwn(JOINERS, what)) throw new Error(`${name}.${what} is not known: want ${Object.keys(JOINERS).join(", ")}`);
    kind.each(kind.string)(list, `${name}.${what}`);
  }
}

// wasReplaced says whether an approved release took the place of that code.
function wasReplaced(what, code) {
  let found = false;
  gov(RELEASES).forEach((bytes) => {
    found ||= (ccf.bufToJsonCompatible(bytes).disallow[what] ?? []).includes(code);
  });
  return found;
}

actions.set("approve_release", {
  check: wants({ release: kind.string, allow: joiners, disallow: kind.maybe(joiners) }, (args) => {
    if (!Object.values(args.allow).some((list) => list.length > 0)) throw new Error("allow must name what may join");
  }),
  run({ release, allow, disallow }, proposalId) {
    // What is approved now was not replaced, whatever was approved before.
    const others = [];
    gov(RELEASES).forEach((bytes, key) => others.push([ccf.bufToStr(key), ccf.bufToJsonCompatible(bytes)]));
    for (const [name, was] of others) {
      for (const [what, list] of Object.entries(was.disallow)) {
        was.disallow[what] = list.filter((code) => !(allow[what] ?? []).includes(code));
      }
      row.put(RELEASES, was, name);
    }
    row.put(RELEASES, { allow, disallow: disallow ?? {} }, release);
    for (const [what, list] of Object.entries(allow)) {
      const { action, field } = JOINERS[what];
      for (const code of list) actions.get(action).run({ [field]: code }, proposalId);
    }
  },
});

// Code of a release that members no longer want may not join any more.
actions.set("withdraw_release", {
  check: wants({ release: kind.string }),
  run({ release }) {
    const allow = row.get(RELEASES, release)?.allow ?? {};
    row.drop(RELEASES, release);
    for (const [what, list] of Object.entries(allow)) {
      const { action, field } = JOINERS[what];
      for (const code of list) actions.get(action.replace("add_", "remove_")).run({ [field]: code });
    }
  },
});
