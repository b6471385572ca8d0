// The globals that every realm but the bare one has. It runs once, before
// any application code, and keeps what it uses of the built-ins.
(function (functions, names, kind) {
  const { defineProperty, defineProperties, create, getOwnPropertyDescriptor } = Object;
  const { apply } = Reflect;

  // The engine offers more than CCF's; libraries test for these.
  for (const name of ['performance', 'queueMicrotask', 'DOMException', 'WeakRef', 'FinalizationRegistry']) {
    delete globalThis[name];
  }
  // Without a limit a caught stack overflow would format its whole depth.
  Error.stackTraceLimit = 200;
  if (kind === 'bare') return undefined;

  const h = create(null);
  for (let i = 0; i < functions.length; i++) h[names[i]] = functions[i];

  // Stacks look as in CCF, to scripts as well: lines without columns.
  const engineStack = getOwnPropertyDescriptor(Error.prototype, 'stack');
  const traceText = h['trace.text'];
  const readStack = {
    get stack() {
      const text = apply(engineStack.get, this, []);
      return typeof text === 'string' ? traceText(text) : text;
    },
  };
  defineProperty(Error.prototype, 'stack', {
    __proto__: null,
    get: getOwnPropertyDescriptor(readStack, 'stack').get,
    set: engineStack.set,
    configurable: true,
  });
  // CCF's engine has neither, and both would show columns.
  delete Error.captureStackTrace;
  delete Error.prepareStackTrace;

  // fn gives a host function the name that scripts see.
  const fn = (hostName, name) => {
    const f = h[hostName];
    defineProperty(f, 'name', { value: name, configurable: true });
    return f;
  };
  // part makes an object of host functions: part('kv', 'get', ...) has get.
  const part = (prefix, ...members) => {
    const o = {};
    for (const m of members) o[m] = fn(prefix + '.' + m, m);
    return o;
  };

  globalThis.console = {
    log: fn('console.log', 'log'),
    info: fn('console.info', 'info'),
    warn: fn('console.warn', 'warn'),
    error: fn('console.error', 'error'),
  };
  Math.random = fn('math.random', 'random');

  // The report's members of octets come as [from, to] of the evidence.
  const { isArray } = Array;
  const { keys } = Object;
  const { slice } = ArrayBuffer.prototype;
  const verifySnp = h['snp.verifySnpAttestation'];
  globalThis.snp_attestation = {
    verifySnpAttestation: function verifySnpAttestation(evidence, endorsements, uvmEndorsements, endorsedTcb) {
      const result = apply(verifySnp, undefined, arguments);
      const cut = (o) => {
        const names = keys(o);
        for (let i = 0; i < names.length; i++) {
          const v = o[names[i]];
          if (isArray(v)) o[names[i]] = apply(slice, evidence, v);
        }
      };
      cut(result.attestation);
      cut(result.attestation.signature);
      return result;
    },
  };

  const ccf = part(
    'ccf', 'strToBuf', 'bufToStr', 'jsonCompatibleToBuf', 'bufToJsonCompatible', 'enableUntrustedDateTime',
    'enableMetricsLogging', 'pemToId', 'tcbHexToPolicy',
  );
  globalThis.ccf = ccf;

  // ccf.kv[name] is a new handle for any name; its methods look the current
  // transaction up when they are called.
  const handleWith = (prefix) => {
    const handle = { __proto__: null };
    for (const m of ['has', 'get', 'getVersionOfPreviousWrite', 'set', 'delete', 'clear', 'forEach']) {
      defineProperty(handle, m, { value: fn(prefix + m, m), enumerable: true, writable: true, configurable: true });
    }
    defineProperty(handle, 'size', { get: fn(prefix + 'size', 'size'), enumerable: true, configurable: true });
    Object.setPrototypeOf(handle, Object.prototype);
    return handle;
  };
  const handle = handleWith('kv.');
  // tables makes a handle for any name; target is what the proxy was made of.
  const tables = (handleOf) => ({
    get: (target, name) => (typeof name === 'string' ? handleOf(name, target) : undefined),
    has: () => true,
    set: () => false,
    deleteProperty: () => false,
    defineProperty: () => false,
    ownKeys: () => [],
    getOwnPropertyDescriptor: (target, name) =>
      typeof name === 'string'
        ? { value: handleOf(name, target), writable: false, enumerable: false, configurable: true }
        : undefined,
  });
  ccf.kv = new Proxy(create(null), tables((name) => {
    const o = { __proto__: handle };
    o._map_name = name;
    return o;
  }));

  const crypto = part(
    'crypto', 'digest', 'generateAesKey', 'generateRsaKeyPair', 'generateEcdsaKeyPair', 'generateEddsaKeyPair',
    'isValidX509CertBundle', 'isValidX509CertChain',
    'pubPemToJwk', 'pemToJwk', 'pubRsaPemToJwk', 'rsaPemToJwk', 'pubEddsaPemToJwk', 'eddsaPemToJwk',
    'pubJwkToPem', 'jwkToPem', 'pubRsaJwkToPem', 'rsaJwkToPem', 'pubEddsaJwkToPem', 'eddsaJwkToPem',
  );
  // Functions whose parameters come in an object take it apart here; the
  // number of arguments is checked there.
  crypto.sign = function sign(algorithm, key, data) {
    const a = arguments.length === 3 ? algorithm : {};
    return h['crypto.sign'](arguments.length, a.name, a.hash, a.saltLength, key, data);
  };
  crypto.verifySignature = function verifySignature(algorithm, key, signature, data) {
    const a = arguments.length === 4 ? algorithm : {};
    return h['crypto.verifySignature'](arguments.length, a.name, a.hash, a.saltLength, key, signature, data);
  };
  crypto.wrapKey = function wrapKey(key, wrappingKey, parameters) {
    const p = arguments.length === 3 ? parameters : {};
    return h['crypto.wrapKey'](arguments.length, p.name, p.aesKeySize, p.label, key, wrappingKey);
  };
  crypto.unwrapKey = function unwrapKey(key, unwrappingKey, parameters) {
    const p = arguments.length === 3 ? parameters : {};
    return h['crypto.unwrapKey'](arguments.length, p.name, p.aesKeySize, p.label, key, unwrappingKey);
  };
  ccf.crypto = crypto;
  // Aliases that older applications and constitutions call, as in the types of
  // @microsoft/ccf-app.
  for (const m of [
    'digest', 'generateAesKey', 'generateRsaKeyPair', 'generateEcdsaKeyPair', 'wrapKey', 'isValidX509CertBundle',
    'isValidX509CertChain',
  ]) ccf[m] = crypto[m];
  ccf.gov = part('gov', 'validateConstitution');

  if (kind === 'apply') {
    for (const m of ['refreshAppBytecodeCache', 'setJwtPublicSigningKeys', 'removeJwtPublicSigningKeys']) {
      ccf[m] = fn('apply.' + m, m);
    }
    ccf.node = part(
      'node', 'triggerLedgerRekey', 'triggerRecoverySharesRefresh', 'triggerLedgerChunk', 'triggerSnapshot',
      'transitionServiceToOpen', 'setSealedResume',
    );
    ccf.network = part(
      'network', 'getLatestLedgerSecretSeqno', 'generateEndorsedCertificate', 'generateNetworkCertificate',
    );
  }
  // Unit tests are scripts of an application that can also call it.
  if (kind === 'unit') globalThis.callApplication = fn('unit.callApplication', 'callApplication');
  // Globals of an application are made before its modules; see space.go.
  if (kind === 'hosted') globalThis.callHost = fn('host.call', 'callHost');
  if (kind !== 'app' && kind !== 'unit' && kind !== 'hosted') return [undefined, undefined, undefined];

  ccf.rpc = part('rpc', 'setApplyWrites', 'setClaimsDigest');
  ccf.consensus = part('consensus', 'getLastCommittedTxId', 'getStatusForTxId', 'getViewForSeqno');
  const put = (o, name, value) =>
    defineProperty(o, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
  const { slice: stringSlice, indexOf } = String.prototype;

  // A past state reads its tables as ccf.kv does, and makes its receipt when
  // that is first asked for.
  const pastHandle = handleWith('past.');
  const pastTables = tables((name, target) => {
    const o = { __proto__: pastHandle };
    o._map_name = name;
    defineProperty(o, '_seqno', { __proto__: null, value: target.seqno });
    return o;
  });
  const receiptOf = h['state.receipt'];
  const stateOf = (id) => {
    const seqno = +apply(stringSlice, id, [apply(indexOf, id, ['.']) + 1]);
    const state = { transactionId: id };
    defineProperty(state, 'receipt', {
      __proto__: null,
      get() {
        const v = receiptOf(seqno);
        put(this, 'receipt', v);
        return v;
      },
      set(v) {
        put(this, 'receipt', v);
      },
      enumerable: true,
      configurable: true,
    });
    state.kv = new Proxy({ __proto__: null, seqno }, pastTables);
    return state;
  };
  const stateRange = h['historical.getStateRange'];
  ccf.historical = part('historical', 'dropCachedStates');
  ccf.historical.getStateRange = function getStateRange(handle, startSeqno, endSeqno, secondsUntilExpiry) {
    const states = apply(stateRange, undefined, arguments);
    if (states !== null) {
      for (let i = 0; i < states.length; i++) states[i] = stateOf(states[i]);
    }
    return states;
  };
  const setState = (id) => {
    if (id === undefined) delete ccf.historicalState;
    else ccf.historicalState = stateOf(id);
  };

  // The members of a request are read from the host when first used: most
  // handlers use few of them. Each then becomes a plain property.
  const field = h['request.field'];
  const content = h['request.content'];
  const lazy = ['headers', 'query', 'path', 'method', 'hostname', 'route', 'url', 'params', 'body', 'caller'];
  const body = { text: fn('body.text', 'text'), json: fn('body.json', 'json'), arrayBuffer: fn('body.arrayBuffer', 'arrayBuffer') };
  const read = (name) => {
    if (name === 'body') return { text: body.text, json: body.json, arrayBuffer: body.arrayBuffer };
    const v = field(name);
    if (name === 'caller' && v !== null) {
      if (v.cose) v.cose.content = content('');
      if (typeof v.policy === 'object') {
        for (const p of v.policy) if (v[p].cose) v[p].cose.content = content(p);
      }
    }
    return v;
  };
  const descriptors = create(null);
  for (const name of lazy) {
    descriptors[name] = {
      __proto__: null,
      get() {
        const v = read(name);
        put(this, name, v);
        return v;
      },
      set(v) {
        put(this, name, v);
      },
      enumerable: true,
      configurable: true,
    };
  }
  const request = () => defineProperties({}, descriptors);
  // A request that outlives its call, in an interpreter that is reused, must
  // not read the next one.
  const settle = (r) => {
    for (const name of lazy) {
      const d = getOwnPropertyDescriptor(r, name);
      if (d !== undefined && d.get === descriptors[name].get) put(r, name, read(name));
    }
  };
  return [request, settle, setState];
});
