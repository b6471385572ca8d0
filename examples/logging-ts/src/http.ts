// What the endpoints have in common: reading queries and bodies, and the
// answers that are errors.
import * as ccfapp from "@microsoft/ccf-app";

export interface NewRecord {
  id: number;
  msg: string;
  record_claim?: boolean;
}

export interface ErrorBody {
  error: { code: string; message: string };
}

// An error that knows its status; `answer` turns it into a response.
export class HttpError extends Error {
  constructor(
    readonly statusCode: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export function answer<T>(handler: () => ccfapp.Response<T>): ccfapp.Response {
  try {
    return handler();
  } catch (e) {
    if (e instanceof HttpError) {
      const body: ErrorBody = { error: { code: e.code, message: e.message } };
      return { statusCode: e.statusCode, body };
    }
    throw e;
  }
}

// The query arrives decoded; the first value of a name counts.
export function query(request: ccfapp.Request): Map<string, string> {
  const values = new Map<string, string>();
  for (const part of request.query.split("&")) {
    const at = part.indexOf("=");
    const name = at < 0 ? part : part.slice(0, at);
    if (name !== "" && !values.has(name)) {
      values.set(name, at < 0 ? "" : part.slice(at + 1));
    }
  }
  return values;
}

export function recordId(values: Map<string, string>): string {
  const id = values.get("id");
  if (id === undefined || !/^[0-9]+$/.test(id)) {
    throw new HttpError(
      400,
      "InvalidQueryParameterValue",
      "Query parameter 'id' must be a whole number.",
    );
  }
  return BigInt(id).toString();
}

export function newRecord(request: ccfapp.Request<NewRecord>): NewRecord {
  let body: NewRecord;
  try {
    body = request.body.json();
  } catch (e) {
    throw new HttpError(400, "InvalidInput", `The body is not JSON: ${e}`);
  }
  if (body === null || !Number.isSafeInteger(body.id) || body.id < 0) {
    throw new HttpError(400, "InvalidInput", "'id' must be a whole number.");
  }
  if (typeof body.msg !== "string") {
    throw new HttpError(400, "InvalidInput", "'msg' must be a string.");
  }
  if (body.msg === "") {
    throw new HttpError(400, "InvalidInput", "Cannot record an empty log message.");
  }
  return body;
}
