// The maps that hold log records: one private and one public, and a pair of
// its own for each scope. Keys are the record's number as decimal text.
import * as ccfapp from "@microsoft/ccf-app";

export type Records = ccfapp.TypedKvMap<string, string>;

export function privateRecords(scope?: string): Records {
  return open("records", scope);
}

export function publicRecords(scope?: string): Records {
  return open("public:records", scope);
}

function open(name: string, scope?: string): Records {
  const full = scope === undefined ? name : `${name}-${scope}`;
  return ccfapp.typedKv(full, ccfapp.string, ccfapp.string);
}
