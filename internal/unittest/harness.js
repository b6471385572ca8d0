// What unit tests use. It is evaluated before the test file, in the same
// module, and keeps the tests that the file declares.
const tests = [];
const path = [];
let hooks = [{ before: [], after: [] }];

export function describe(name, body) {
  path.push(name);
  hooks.push({ before: [], after: [] });
  body();
  hooks.pop();
  path.pop();
}
export function test(name, body) {
  tests.push({ name: [...path, name].join(" > "), body, hooks: [...hooks] });
}
export const it = test;
export const beforeEach = (f) => void hooks[hooks.length - 1].before.push(f);
export const afterEach = (f) => void hooks[hooks.length - 1].after.push(f);

const show = (v) => {
  if (typeof v === "bigint") return v + "n";
  if (v instanceof Error) return String(v);
  if (v instanceof ArrayBuffer) return "ArrayBuffer [" + new Uint8Array(v).join(", ") + "]";
  if (typeof v === "function") return "function " + v.name;
  try {
    const text = JSON.stringify(v);
    return text === undefined ? String(v) : text;
  } catch {
    return String(v);
  }
};

function equal(a, b, depth = 0) {
  if (Object.is(a, b)) return true;
  if (depth > 100 || typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof ArrayBuffer && b instanceof ArrayBuffer) return equal(new Uint8Array(a), new Uint8Array(b), depth + 1);
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Map || a instanceof Set) return equal([...a], [...b], depth + 1);
  if (a instanceof Date) return a.getTime() === b.getTime();
  const keys = Object.keys(a).filter((k) => a[k] !== undefined);
  const others = Object.keys(b).filter((k) => b[k] !== undefined);
  return keys.length === others.length && keys.every((k) => equal(a[k], b[k], depth + 1));
}

const matchers = {
  toBe: (got, want) => [Object.is(got, want), `to be ${show(want)}`],
  toEqual: (got, want) => [equal(got, want), `to equal ${show(want)}`],
  toBeTruthy: (got) => [!!got, "to be truthy"],
  toBeFalsy: (got) => [!got, "to be falsy"],
  toBeNull: (got) => [got === null, "to be null"],
  toBeUndefined: (got) => [got === undefined, "to be undefined"],
  toBeDefined: (got) => [got !== undefined, "to be defined"],
  toBeGreaterThan: (got, want) => [got > want, `to be greater than ${show(want)}`],
  toBeGreaterThanOrEqual: (got, want) => [got >= want, `to be ${show(want)} or more`],
  toBeLessThan: (got, want) => [got < want, `to be less than ${show(want)}`],
  toBeLessThanOrEqual: (got, want) => [got <= want, `to be ${show(want)} or less`],
  toBeInstanceOf: (got, want) => [got instanceof want, `to be a ${want.name}`],
  toHaveLength: (got, want) => [got.length === want, `to have length ${show(want)}`],
  toMatch: (got, want) => [want instanceof RegExp ? want.test(got) : String(got).includes(want), `to match ${want}`],
  toContain: (got, want) => [
    typeof got === "string" ? got.includes(want) : [...got].some((v) => equal(v, want)),
    `to contain ${show(want)}`,
  ],
  toThrow: (got, want) => {
    let thrown;
    try {
      got();
    } catch (e) {
      thrown = { message: e instanceof Error ? e.message : String(e), error: e };
    }
    if (want === undefined) return [thrown !== undefined, "to throw"];
    const ok =
      thrown !== undefined &&
      (want instanceof RegExp
        ? want.test(thrown.message)
        : typeof want === "function"
          ? thrown.error instanceof want
          : thrown.message.includes(want));
    return [ok, `to throw ${want}${thrown ? `, but it threw ${thrown.message}` : ""}`];
  },
};

export function expect(got) {
  const checks = { not: {} };
  for (const [name, matches] of Object.entries(matchers)) {
    const check = (wanted) => (want) => {
      const [ok, what] = matches(got, want);
      if (ok !== wanted) throw new Error(`expected ${show(got)} ${wanted ? "" : "not "}${what}`);
    };
    checks[name] = check(true);
    checks.not[name] = check(false);
  }
  return checks;
}

const call = globalThis.callApplication;
delete globalThis.callApplication;

function bytesOf(body) {
  if (body === undefined) return undefined;
  if (body instanceof ArrayBuffer) return [...new Uint8Array(body)];
  if (ArrayBuffer.isView(body)) return [...new Uint8Array(body.buffer, body.byteOffset, body.byteLength)];
  return [...new Uint8Array(ccf.strToBuf(typeof body === "string" ? body : JSON.stringify(body)))];
}

function request(method, path, options = {}) {
  const { body, headers = {}, caller } = options;
  const sent = { ...headers };
  if (body !== undefined && !Object.keys(sent).some((k) => k.toLowerCase() === "content-type")) {
    sent["content-type"] = typeof body === "string" ? "text/plain" : "application/json";
  }
  const answer = JSON.parse(call(JSON.stringify({ method, path, headers: sent, body: bytesOf(body), caller })));
  const bytes = new Uint8Array(answer.body).buffer;
  return {
    status: answer.status,
    headers: answer.headers,
    bytes,
    text: () => ccf.bufToStr(bytes),
    json: () => JSON.parse(ccf.bufToStr(bytes)),
  };
}

export const app = { call: request };
for (const method of ["get", "post", "put", "patch", "delete", "head", "options"]) {
  app[method] = (path, options) => request(method.toUpperCase(), path, options);
}

Object.assign(globalThis, { describe, test, it, beforeEach, afterEach, expect, app });

// The two that the runner calls.
export const __list = () => tests.map((t) => t.name);
export function __run(i) {
  const t = tests[i];
  for (const h of t.hooks) for (const f of h.before) f();
  try {
    const result = t.body();
    if (result !== null && typeof result === "object" && typeof result.then === "function") {
      throw new Error("an async test never ends here: handlers and tests are synchronous");
    }
  } finally {
    for (const h of [...t.hooks].reverse()) for (const f of h.after) f();
  }
}
