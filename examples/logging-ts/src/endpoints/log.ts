// Records: write, read, delete, count. The private and the public halves
// differ in their map and in claims: what a public write says can be proved by
// its receipt, without revealing anything else of the transaction.
import * as ccfapp from "@microsoft/ccf-app";
import { digest } from "@microsoft/ccf-app/crypto.js";
import { answer, HttpError, NewRecord, newRecord, query, recordId } from "../http.js";
import { privateRecords, publicRecords, Records } from "../records.js";

type Open = (scope?: string) => Records;

function get(request: ccfapp.Request, open: Open): ccfapp.Response {
  return answer(() => {
    const values = query(request);
    const id = recordId(values);
    const msg = open(values.get("scope")).get(id);
    if (msg === undefined) {
      throw new HttpError(404, "ResourceNotFound", `No such record: ${id}.`);
    }
    return { body: { msg } };
  });
}

function remove(request: ccfapp.Request, open: Open): ccfapp.Response {
  return answer(() => {
    const values = query(request);
    const id = recordId(values);
    const records = open(values.get("scope"));
    const existed = records.has(id);
    records.delete(id);
    return { body: existed };
  });
}

function clear(request: ccfapp.Request, open: Open): ccfapp.Response {
  open(query(request).get("scope")).clear();
  return { body: true };
}

function count(request: ccfapp.Request, open: Open): ccfapp.Response {
  return { body: open(query(request).get("scope")).size };
}

export const getPrivate = (request: ccfapp.Request) => get(request, privateRecords);
export const getPublic = (request: ccfapp.Request) => get(request, publicRecords);
export const deletePrivate = (request: ccfapp.Request) => remove(request, privateRecords);
export const deletePublic = (request: ccfapp.Request) => remove(request, publicRecords);
export const clearPrivate = (request: ccfapp.Request) => clear(request, privateRecords);
export const clearPublic = (request: ccfapp.Request) => clear(request, publicRecords);
export const countPrivate = (request: ccfapp.Request) => count(request, privateRecords);
export const countPublic = (request: ccfapp.Request) => count(request, publicRecords);

export function postPrivate(request: ccfapp.Request<NewRecord>): ccfapp.Response {
  return answer(() => {
    const { id, msg } = newRecord(request);
    privateRecords(query(request).get("scope")).set(String(id), msg);
    return { body: true };
  });
}

export function postPublic(request: ccfapp.Request<NewRecord>): ccfapp.Response {
  return answer(() => {
    const { id, msg, record_claim } = newRecord(request);
    publicRecords(query(request).get("scope")).set(String(id), msg);
    if (record_claim) {
      ccfapp.setClaimsDigest(digest("SHA-256", ccfapp.string.encode(msg)));
    }
    return { body: true };
  });
}

export function postAnonymous(request: ccfapp.Request<NewRecord>): ccfapp.Response {
  return answer(() => {
    const { id, msg } = newRecord(request);
    privateRecords(query(request).get("scope")).set(String(id), `Anonymous: ${msg}`);
    return { body: true };
  });
}

export function postPrefixed(request: ccfapp.Request<NewRecord>): ccfapp.Response {
  return answer(() => {
    const { id, msg } = newRecord(request);
    const caller = request.caller as ccfapp.UserCertAuthnIdentity;
    privateRecords(query(request).get("scope")).set(String(id), `${caller.id}: ${msg}`);
    return { body: true };
  });
}

export function postAsAdmin(request: ccfapp.Request<NewRecord>): ccfapp.Response {
  return answer(() => {
    const caller = request.caller as ccfapp.UserCertAuthnIdentity;
    if (caller.data?.isAdmin !== true) {
      throw new HttpError(403, "AuthorizationFailed", "Only admins may access this endpoint.");
    }
    const { id, msg } = newRecord(request);
    privateRecords(query(request).get("scope")).set(String(id), msg);
    return { body: true };
  });
}

export function postRawText(request: ccfapp.Request): ccfapp.Response {
  return answer(() => {
    if (request.headers["content-type"] !== "text/plain") {
      throw new HttpError(415, "InvalidHeaderValue", "The body must be text/plain.");
    }
    const values = new Map([["id", request.params.id]]);
    const msg = request.body.text();
    privateRecords(query(request).get("scope")).set(recordId(values), msg);
    return { statusCode: 200 };
  });
}

export function requestQuery(request: ccfapp.Request): ccfapp.Response {
  return { body: request.query };
}
