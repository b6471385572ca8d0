// What members may propose. Each action has a check of its arguments, run when
// a proposal comes in, and a run, run once when the proposal is accepted:
//
//   name: { check(args), run(args, proposalId) }
//
// Both refuse by throwing. A check reads governance tables at most; a run that
// throws undoes the whole proposal. Constitutions built on this file add their
// own actions after it with actions.set(name, { check, run }).

// Tables ---------------------------------------------------------------------

const gov = (name) => ccf.kv["public:ccf.gov." + name];
const ONLY = new ArrayBuffer(8); // the key of a table that holds one value
const IN_SET = new ArrayBuffer(8); // the value in a table that is a set

const text = {
  put: (table, key, value) => gov(table).set(ccf.strToBuf(key), ccf.strToBuf(value)),
};

const row = {
  key: (key) => (key === undefined ? ONLY : ccf.strToBuf(key)),
  get(table, key) {
    const bytes = gov(table).get(row.key(key));
    return bytes === undefined ? undefined : ccf.bufToJsonCompatible(bytes);
  },
  need(table, key, complaint) {
    const value = row.get(table, key);
    if (value === undefined) throw new Error(complaint);
    return value;
  },
  put: (table, value, key) => gov(table).set(row.key(key), ccf.jsonCompatibleToBuf(value)),
  drop: (table, key) => gov(table).delete(row.key(key)),
};

const serviceConfig = () =>
  row.need("service.config", undefined, "Service configuration could not be found");
const serviceInfo = () =>
  row.need("service.info", undefined, "Service information could not be found");

// Checks ---------------------------------------------------------------------

// A kind is a function (value, name) that throws unless the value fits.
const ofType = (type) => (value, name) => {
  if (typeof value !== type) {
    throw new Error(`${name} must be of type ${type} but is ${value === null ? "null" : typeof value}`);
  }
};

const kind = {
  string: ofType("string"),
  boolean: ofType("boolean"),
  number: ofType("number"),

  object(value, name) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new Error(`${name} must be an object`);
    }
  },

  array(value, name) {
    if (!Array.isArray(value)) throw new Error(`${name} must be an array`);
  },

  integer(value, name) {
    if (!Number.isInteger(value)) throw new Error(`${name} must be an integer`);
  },

  between: (low, high) => (value, name) => {
    kind.integer(value, name);
    if (value < low || value > high) {
      throw new Error(`${name} must be at least ${low}` + (high === Infinity ? "" : ` and at most ${high}`));
    }
  },

  oneOf: (...choices) => (value, name) => {
    if (!choices.includes(value)) throw new Error(`${name} must be one of ${choices.join(", ")}`);
  },

  // Absent, and null where an argument says "none", are fine.
  maybe: (inner) => (value, name) => {
    if (value !== undefined && value !== null) inner(value, name);
  },
  absentOr: (inner) => (value, name) => {
    if (value !== undefined) inner(value, name);
  },

  each: (inner) => (value, name) => {
    kind.array(value, name);
    value.forEach((item, i) => inner(item, `${name}[${i}]`));
  },

  hex: (digits, lowerOnly) => (value, name) => {
    kind.string(value, name);
    if (value.length !== digits) throw new Error(`${name} must contain exactly ${digits} characters`);
    if (!(lowerOnly ? /^[0-9a-f]*$/ : /^[0-9a-fA-F]*$/).test(value)) {
      throw new Error(`${name} must be ${lowerOnly ? "lower-case " : ""}hexadecimal`);
    }
  },

  certificate(value, name) {
    kind.string(value, name);
    if (!ccf.crypto.isValidX509CertBundle(value)) {
      throw new Error(`${name} must be a valid X509 certificate (bundle) in PEM format`);
    }
  },

  publicKey(value, name) {
    kind.string(value, name);
    if (!/^\s*-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----\s*$/.test(value)) {
      throw new Error(`${name} must be a public key in PEM format`);
    }
  },

  // The time texts that certificates can start at: ASN.1's and ISO 8601's.
  instant(value, name) {
    kind.string(value, name);
    const asn1 = /^(\d\d)?\d{10}\d\dZ$/;
    const iso = /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( ?[+-]\d\d:?\d\d|Z)?$/;
    if (!asn1.test(value) && !iso.test(value)) throw new Error(`${name} is not a time: ${value}`);
  },
};

// An entity is named by the SHA-256 of its certificate or key, in hex.
kind.id = kind.hex(64);
kind.cpuid = kind.hex(8, true);

// wants makes the check of an action from the kinds of its arguments.
const wants = (kinds, and) => (args) => {
  kind.object(args, "args");
  for (const [name, fits] of Object.entries(kinds)) fits(args[name], name);
  if (and) and(args);
};

const wantsNothing = (args) => {
  if (args !== undefined && args !== null) {
    throw new Error(`This action takes no arguments, found ${JSON.stringify(args)}`);
  }
};

const wantsAnything = () => {};

// Rules that several actions share --------------------------------------------

// What voters saw may mean something else after some actions, so every other
// open proposal ends.
function dropOtherProposals(mine) {
  const found = [];
  gov("proposals_info").forEach((value, key) => found.push([ccf.bufToStr(key), ccf.bufToJsonCompatible(value)]));
  for (const [id, info] of found) {
    if (id !== mine && info.state === "Open") row.put("proposals_info", { ...info, state: "Dropped" }, id);
  }
}

const holdsShare = (info) => info.status === "Active" && info.recovery_role !== "NonParticipant";

function recoveryMembers() {
  let count = 0;
  gov("members.encryption_public_keys").forEach((_, key) => {
    const id = ccf.bufToStr(key);
    if (holdsShare(row.need("members.info", id, `Recovery member ${id} has no information`))) count++;
  });
  return count;
}

// allowedDays returns how long a certificate is to be valid.
function allowedDays(asked, subject) {
  const most = serviceConfig()[`maximum_${subject}_certificate_validity_days`] ?? 365;
  if (asked === undefined || asked === null) return most;
  if (asked > most) {
    throw new Error(`Validity period ${asked} (days) is not allowed: service max allowed is ${most} (days)`);
  }
  return asked;
}

const validity = { valid_from: kind.instant, validity_period_days: kind.maybe(kind.between(1, Infinity)) };

function endorseNode(id, info, args) {
  if (info.certificate_signing_request === undefined) {
    throw new Error(`Node ${id} has no certificate signing request`);
  }
  const days = allowedDays(args.validity_period_days, "node");
  const cert = ccf.network.generateEndorsedCertificate(info.certificate_signing_request, args.valid_from, days);
  text.put("nodes.endorsed_certificates", id, cert);
}

function configure(change) {
  const config = serviceConfig();
  const threshold = change.recovery_threshold ?? config.recovery_threshold;
  const moved = threshold !== config.recovery_threshold;
  if (moved) {
    const { status } = serviceInfo();
    if (status === "WaitingForRecoveryShares") {
      throw new Error(`Cannot set recovery threshold if service is ${status}`);
    }
    const members = status === "Open" ? recoveryMembers() : Infinity;
    if (threshold > members) {
      throw new Error(
        `Cannot set recovery threshold to ${threshold}: recovery threshold would be greater than the number of recovery members ${members}`,
      );
    }
  }
  for (const [name, value] of Object.entries(change)) {
    if (value !== undefined && value !== null) config[name] = value;
  }
  row.put("service.config", config);
  if (moved) ccf.node.triggerRecoverySharesRefresh();
}

// setData gives one row its data; none removes the field.
function setData(table, id, field, data, missing) {
  const info = row.need(table, id, missing);
  info[field] = data ?? undefined;
  row.put(table, info, id);
}

function putUser(id, data) {
  if (data === undefined || data === null) row.drop("users.info", id);
  else row.put("users.info", { user_data: data }, id);
}

// A list of what may join: rows of one value that can be added and removed.
const allowList = (field, fits, table, value) => ({
  add: {
    check: wants({ [field]: fits }),
    run(args, proposalId) {
      gov(table).set(ccf.strToBuf(args[field]), value());
      dropOtherProposals(proposalId);
    },
  },
  remove: {
    check: wants({ [field]: kind.string }),
    run: (args) => row.drop(table, args[field]),
  },
});

const measured = () => ccf.jsonCompatibleToBuf("AllowedToJoin");
const snpMeasurement = allowList("measurement", kind.string, "nodes.snp.measurements", measured);
const virtualMeasurement = allowList("measurement", kind.string, "nodes.virtual.measurements", measured);
const virtualHostData = allowList("host_data", kind.string, "nodes.virtual.host_data", () => IN_SET);

// JSON web keys ----------------------------------------------------------------

function webKey(key, name) {
  kind.object(key, name);
  kind.string(key.kid, `${name}.kid`);
  kind.string(key.kty, `${name}.kty`);
  const strings = (...fields) => fields.forEach((f) => kind.string(key[f], `${name}.${f}`));
  if (key.x5c) {
    kind.each((der, at) => {
      kind.string(der, at);
      kind.certificate(`-----BEGIN CERTIFICATE-----\n${der}\n-----END CERTIFICATE-----`, at);
    })(key.x5c, `${name}.x5c`);
    if (key.x5c.length === 0) throw new Error(`${name}.x5c must not be empty`);
  } else if (key.n && key.e) strings("n", "e");
  else if (key.x && key.y) strings("x", "y", "crv");
  else throw new Error(`${name} must contain either x5c, or n/e for RSA key type, or x/y/crv for EC key type`);
}

function webKeySet(set, name) {
  kind.object(set, name);
  kind.each(webKey)(set.keys, `${name}.keys`);
  if (set.keys.length === 0) throw new Error(`${name}.keys must not be empty`);
}

// Applications -----------------------------------------------------------------

const policyName = kind.oneOf("user_cert", "member_cert", "any_cert", "jwt", "user_cose_sign1", "no_auth");

function policy(value, name) {
  if (typeof value === "string") return policyName(value, name);
  kind.object(value, name);
  kind.each(policyName)(value.all_of, `${name}.all_of`);
}

const operation = {
  js_module: kind.string,
  js_function: kind.string,
  mode: kind.oneOf("readwrite", "readonly", "historical"),
  forwarding_required: kind.oneOf("sometimes", "always", "never"),
  redirection_strategy: kind.absentOr(kind.oneOf("none", "to_primary", "to_backup")),
  openapi: kind.maybe(kind.object),
  openapi_hidden: kind.maybe(kind.boolean),
  authn_policies: kind.each(policy),
  interpreter_reuse: kind.maybe((reuse, name) => {
    kind.object(reuse, name);
    kind.string(reuse.key, `${name}.key`);
  }),
};

function bundle(value, name) {
  kind.object(value, name);
  const modules = new Set();
  kind.each((module, at) => {
    kind.object(module, at);
    kind.string(module.name, `${at}.name`);
    kind.string(module.module, `${at}.module`);
    if (modules.has(module.name)) throw new Error(`${at}: module '${module.name}' is in the bundle twice`);
    modules.add(module.name);
  })(value.modules, `${name}.modules`);
  kind.object(value.metadata, `${name}.metadata`);
  kind.object(value.metadata.endpoints, `${name}.metadata.endpoints`);
  for (const [url, methods] of Object.entries(value.metadata.endpoints)) {
    const where = `${name}.metadata.endpoints["${url}"]`;
    kind.object(methods, where);
    for (const [method, info] of Object.entries(methods)) {
      const at = `${where}["${method}"]`;
      kind.object(info, at);
      for (const [field, fits] of Object.entries(operation)) fits(info[field], `${at}.${field}`);
      if (!modules.has(info.js_module)) throw new Error(`module '${info.js_module}' not found in bundle`);
    }
  }
}

const appTables = ["modules", "endpoints", "modules_quickjs_bytecode", "modules_quickjs_version", "interpreter.flush"];

// The actions --------------------------------------------------------------------

const actions = new Map(
  Object.entries({
    // Constitution and service

    set_constitution: {
      check: wants({ constitution: kind.string }, (args) => ccf.gov.validateConstitution(args.constitution)),
      run(args, proposalId) {
        row.put("constitution", args.constitution);
        dropOtherProposals(proposalId);
      },
    },

    transition_service_to_open: {
      check: wants({
        next_service_identity: kind.certificate,
        previous_service_identity: kind.maybe(kind.certificate),
      }),
      run(args) {
        const previous = args.previous_service_identity ?? undefined;
        if (serviceInfo().status === "Recovering" && previous === undefined) {
          throw new Error("Opening a recovering network requires both, the previous and the next service identity");
        }
        ccf.node.transitionServiceToOpen(
          previous === undefined ? undefined : ccf.strToBuf(previous),
          ccf.strToBuf(args.next_service_identity),
        );
      },
    },

    assert_service_identity: {
      check: wants({ service_identity: kind.certificate }, (args) => {
        if (serviceInfo().cert !== args.service_identity) throw new Error("Service identity certificate mismatch");
      }),
      run() {},
    },

    set_recovery_threshold: {
      check: wants({ recovery_threshold: kind.between(1, 254) }),
      run: (args) => configure({ recovery_threshold: args.recovery_threshold }),
    },

    // Synod's own: whether nodes may keep the service's keys on their disks, sealed
    // to their platform, so that the service can come back without recovery shares.
    set_sealed_resume: {
      check: wants({ allowed: kind.boolean }),
      run: (args) => ccf.node.setSealedResume(args.allowed),
    },

    set_service_configuration: {
      check(args) {
        const settings = {
          recovery_threshold: kind.maybe(kind.between(1, 254)),
          recent_cose_proposals_window_size: kind.maybe(kind.between(1, 10000)),
          // Nodes always join and leave in one transaction each.
          reconfiguration_type: kind.maybe(kind.oneOf("OneTransaction")),
        };
        kind.object(args, "args");
        for (const name of Object.keys(args)) {
          if (!Object.hasOwn(settings, name)) {
            throw new Error(`Cannot change ${name} via set_service_configuration.`);
          }
        }
        wants(settings)(args);
      },
      run: configure,
    },

    set_service_certificate_validity: {
      check: wants(validity),
      run(args) {
        const days = allowedDays(args.validity_period_days, "service");
        const info = serviceInfo();
        info.cert = ccf.network.generateNetworkCertificate(args.valid_from, days);
        row.put("service.info", info);
      },
    },

    trigger_ledger_rekey: { check: wantsNothing, run: () => ccf.node.triggerLedgerRekey() },
    trigger_recovery_shares_refresh: { check: wantsNothing, run: () => ccf.node.triggerRecoverySharesRefresh() },
    trigger_ledger_chunk: { check: wantsAnything, run: () => ccf.node.triggerLedgerChunk() },
    trigger_snapshot: { check: wantsAnything, run: () => ccf.node.triggerSnapshot() },

    // Members and users

    set_member: {
      check: wants(
        {
          cert: kind.certificate,
          encryption_pub_key: kind.maybe(kind.publicKey),
          member_data: kind.maybe(kind.object),
          recovery_role: kind.maybe(kind.oneOf("NonParticipant", "Participant", "Owner")),
        },
        (args) => {
          const given = (v) => v !== undefined && v !== null;
          if (given(args.recovery_role) && !given(args.encryption_pub_key)) {
            throw new Error("Cannot specify a recovery_role value when encryption_pub_key is not specified");
          }
        },
      ),
      run(args) {
        const id = ccf.pemToId(args.cert);
        text.put("members.certs", id, args.cert);
        if (args.encryption_pub_key) text.put("members.encryption_public_keys", id, args.encryption_pub_key);
        else row.drop("members.encryption_public_keys", id);
        row.put(
          "members.info",
          {
            member_data: args.member_data ?? undefined,
            recovery_role: args.recovery_role ?? undefined,
            status: "Accepted",
          },
          id,
        );
        // The state that the member is asked to acknowledge.
        const signature = ccf.kv["public:ccf.internal.signatures"].get(ONLY);
        const root = signature === undefined ? "" : ccf.bufToJsonCompatible(signature).root;
        row.put("members.acks", { state_digest: root }, id);
      },
    },

    remove_member: {
      check: wants({ member_id: kind.id }),
      run(args) {
        const id = args.member_id;
        const info = row.get("members.info", id);
        if (info === undefined) return;
        const recovers = gov("members.encryption_public_keys").has(row.key(id)) && holdsShare(info);
        if (recovers) {
          const left = recoveryMembers() - 1;
          const threshold = serviceConfig().recovery_threshold;
          if (left < threshold) {
            throw new Error(
              `Number of active recovery members (${left}) would be less than recovery threshold (${threshold})`,
            );
          }
        }
        for (const table of ["info", "encryption_public_keys", "certs", "acks"]) row.drop(`members.${table}`, id);
        row.drop("history", id);
        // Whoever held a share must not be able to read what comes next.
        if (recovers) ccf.node.triggerLedgerRekey();
      },
    },

    set_member_data: {
      check: wants({ member_id: kind.id, member_data: kind.object }),
      run: (args) =>
        setData("members.info", args.member_id, "member_data", args.member_data, `Member ${args.member_id} does not exist`),
    },

    set_user: {
      check: wants({ cert: kind.certificate, user_data: kind.maybe(kind.object) }),
      run(args) {
        const id = ccf.pemToId(args.cert);
        text.put("users.certs", id, args.cert);
        putUser(id, args.user_data);
      },
    },

    remove_user: {
      check: wants({ user_id: kind.id }),
      run(args) {
        row.drop("users.certs", args.user_id);
        row.drop("users.info", args.user_id);
      },
    },

    set_user_data: {
      check: wants({ user_id: kind.id, user_data: kind.maybe(kind.object) }),
      run: (args) => putUser(args.user_id, args.user_data),
    },

    // JavaScript application

    set_js_app: {
      check: wants({ bundle, disable_bytecode_cache: kind.maybe(kind.boolean) }),
      run(args) {
        gov("modules").clear();
        gov("endpoints").clear();
        for (const { name, module } of args.bundle.modules) text.put("modules", `/${name}`, module);
        for (const [url, methods] of Object.entries(args.bundle.metadata.endpoints)) {
          for (const [method, info] of Object.entries(methods)) {
            row.put("endpoints", { ...info, js_module: `/${info.js_module}` }, `${method.toUpperCase()} ${url}`);
          }
        }
        if (args.disable_bytecode_cache) {
          gov("modules_quickjs_bytecode").clear();
          gov("modules_quickjs_version").clear();
        } else {
          ccf.refreshAppBytecodeCache();
        }
        row.put("interpreter.flush", true);
      },
    },

    remove_js_app: {
      check: wantsAnything,
      run: () => appTables.forEach((table) => gov(table).clear()),
    },

    set_js_runtime_options: {
      check: wants({
        max_heap_bytes: kind.integer,
        max_stack_bytes: kind.integer,
        max_execution_time_ms: kind.integer,
        log_exception_details: kind.maybe(kind.boolean),
        return_exception_details: kind.maybe(kind.boolean),
        max_cached_interpreters: kind.maybe(kind.integer),
      }, (args) => {
        for (const [name, value] of Object.entries(args)) {
          if (value < 0) throw new Error(`${name} must not be negative`);
        }
      }),
      run(args) {
        const set = Object.entries(args).filter(([, value]) => value !== null);
        row.put("js_runtime_options", Object.fromEntries(set));
      },
    },

    refresh_js_app_bytecode_cache: { check: wantsAnything, run: () => ccf.refreshAppBytecodeCache() },

    // Token issuers

    set_ca_cert_bundle: {
      check: wants({ name: kind.string, cert_bundle: kind.certificate }),
      run: (args) => row.put("tls.ca_cert_bundles", args.cert_bundle, args.name),
    },

    remove_ca_cert_bundle: {
      check: wants({ name: kind.string }),
      run: (args) => row.drop("tls.ca_cert_bundles", args.name),
    },

    set_jwt_issuer: {
      check: wants(
        {
          issuer: kind.string,
          auto_refresh: kind.maybe(kind.boolean),
          ca_cert_bundle_name: kind.maybe(kind.string),
          jwks: kind.maybe(webKeySet),
        },
        (args) => {
          if (!args.auto_refresh) return;
          if (!args.ca_cert_bundle_name) {
            throw new Error("ca_cert_bundle_name is missing but required if auto_refresh is true");
          }
          const url = /^([a-z][a-z0-9+.-]*):\/\/[^\s/?#@]+(?:\/[^\s?#]*)?([?#].*)?$/i.exec(args.issuer);
          if (!url) throw new Error("issuer must be a URL if auto_refresh is true");
          if (url[1].toLowerCase() !== "https") {
            throw new Error("issuer must be a URL starting with https:// if auto_refresh is true");
          }
          if (url[2]) throw new Error("issuer must be a URL without query/fragment if auto_refresh is true");
        },
      ),
      run(args) {
        const { jwks, ...metadata } = args;
        if (args.auto_refresh) {
          const bundle = args.ca_cert_bundle_name;
          row.need("tls.ca_cert_bundles", bundle, `No CA cert bundle found with name '${bundle}'`);
        }
        if (jwks) ccf.setJwtPublicSigningKeys(args.issuer, metadata, jwks);
        row.put("jwt.issuers", metadata, args.issuer);
      },
    },

    set_jwt_public_signing_keys: {
      check: wants({ issuer: kind.string, jwks: webKeySet }),
      run(args) {
        const metadata = row.need("jwt.issuers", args.issuer, `issuer ${args.issuer} not found`);
        ccf.setJwtPublicSigningKeys(args.issuer, metadata, args.jwks);
      },
    },

    remove_jwt_issuer: {
      check: wants({ issuer: kind.string }),
      run(args) {
        if (row.get("jwt.issuers", args.issuer) === undefined) return;
        row.drop("jwt.issuers", args.issuer);
        ccf.removeJwtPublicSigningKeys(args.issuer);
      },
    },

    // Nodes

    set_node_data: {
      check: wants({ node_id: kind.id }),
      run: (args) =>
        setData("nodes.info", args.node_id, "node_data", args.node_data, `Node ${args.node_id} does not exist`),
    },

    transition_node_to_trusted: {
      check: wants({ node_id: kind.id, ...validity }),
      run(args) {
        const id = args.node_id;
        const info = row.need("nodes.info", id, `No such node: ${id}`);
        if (info.status !== "Pending") return;
        info.status = "Trusted";
        info.ledger_secret_seqno = ccf.network.getLatestLedgerSecretSeqno();
        row.put("nodes.info", info, id);
        endorseNode(id, info, args);
      },
    },

    remove_node: {
      check: wants({ node_id: kind.id }),
      run(args) {
        const info = row.get("nodes.info", args.node_id);
        if (info === undefined) return;
        if (info.status === "Pending") row.drop("nodes.info", args.node_id);
        else row.put("nodes.info", { ...info, status: "Retired" }, args.node_id);
      },
    },

    set_node_certificate_validity: {
      check: wants({ node_id: kind.id, ...validity }),
      run(args) {
        const info = row.need("nodes.info", args.node_id, `No such node: ${args.node_id}`);
        if (info.status !== "Trusted") throw new Error(`Node ${args.node_id} is not trusted`);
        endorseNode(args.node_id, info, args);
      },
    },

    set_all_nodes_certificate_validity: {
      check: wants(validity),
      run(args) {
        gov("nodes.info").forEach((value, key) => {
          const info = ccf.bufToJsonCompatible(value);
          if (info.status === "Trusted") endorseNode(ccf.bufToStr(key), info, args);
        });
      },
    },

    // What may join

    add_virtual_measurement: virtualMeasurement.add,
    remove_virtual_measurement: virtualMeasurement.remove,
    add_virtual_host_data: virtualHostData.add,
    remove_virtual_host_data: virtualHostData.remove,
    add_snp_measurement: snpMeasurement.add,
    remove_snp_measurement: snpMeasurement.remove,

    add_snp_host_data: {
      check: wants({ host_data: kind.id, security_policy: kind.string }, (args) => {
        if (args.security_policy === "") return;
        const digest = new Uint8Array(ccf.crypto.digest("SHA-256", ccf.strToBuf(args.security_policy)));
        const hex = Array.from(digest, (b) => b.toString(16).padStart(2, "0")).join("");
        if (hex !== args.host_data.toLowerCase()) {
          throw new Error(`The hash of raw policy ${hex} does not match digest ${args.host_data}`);
        }
      }),
      run(args, proposalId) {
        row.put("nodes.snp.host_data", args.security_policy, args.host_data);
        dropOtherProposals(proposalId);
      },
    },

    remove_snp_host_data: {
      check: wants({ host_data: kind.string }),
      run: (args) => row.drop("nodes.snp.host_data", args.host_data),
    },

    add_snp_uvm_endorsement: {
      check: wants({ did: kind.string, feed: kind.string, svn: kind.string }),
      run(args, proposalId) {
        const feeds = row.get("nodes.snp.uvm_endorsements", args.did) ?? {};
        row.put("nodes.snp.uvm_endorsements", { ...feeds, [args.feed]: { svn: args.svn } }, args.did);
        dropOtherProposals(proposalId);
      },
    },

    remove_snp_uvm_endorsement: {
      check: wants({ did: kind.string, feed: kind.string }),
      run(args) {
        const { [args.feed]: _, ...feeds } = row.get("nodes.snp.uvm_endorsements", args.did) ?? {};
        if (Object.keys(feeds).length > 0) row.put("nodes.snp.uvm_endorsements", feeds, args.did);
        else row.drop("nodes.snp.uvm_endorsements", args.did);
      },
    },

    set_snp_minimum_tcb_version: {
      check: wants({ cpuid: kind.cpuid, tcb_version: kind.object }, ({ tcb_version: tcb }) => {
        for (const part of ["boot_loader", "tee", "snp", "microcode"]) kind.number(tcb[part], `tcb_version.${part}`);
      }),
      run(args, proposalId) {
        row.put("nodes.snp.tcb_versions", args.tcb_version, args.cpuid);
        dropOtherProposals(proposalId);
      },
    },

    set_snp_minimum_tcb_version_hex: {
      check: wants({ cpuid: kind.cpuid, tcb_version: kind.hex(16, true) }, () => {
        if (typeof ccf.tcbHexToPolicy !== "function") {
          throw new Error("this node cannot read versions in hex: propose the numbers with set_snp_minimum_tcb_version");
        }
      }),
      run(args, proposalId) {
        row.put("nodes.snp.tcb_versions", ccf.tcbHexToPolicy(args.cpuid, args.tcb_version), args.cpuid);
        dropOtherProposals(proposalId);
      },
    },

    remove_snp_minimum_tcb_version: {
      check: wants({ cpuid: kind.cpuid }),
      run(args) {
        if (row.get("nodes.snp.tcb_versions", args.cpuid) === undefined) throw new Error(`CPUID ${args.cpuid} not found`);
        row.drop("nodes.snp.tcb_versions", args.cpuid);
      },
    },

    // No node here runs in an enclave of SGX, so none can be let in; what an
    // older service let in can be removed.
    add_node_code: {
      check() {
        throw new Error("code that runs in enclaves of SGX cannot join this service: there is no support for them");
      },
      run() {},
    },
    remove_node_code: {
      check: wants({ code_id: kind.string }),
      run: (args) => row.drop("nodes.code_ids", args.code_id),
    },
  }),
);
