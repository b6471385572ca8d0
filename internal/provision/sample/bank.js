// The sample application of a managed network: accounts of a bank. Whoever is a
// user or a member of the network may open one, pay in, transfer and look.

const accounts = ccf.kv["accounts"]; // private: encrypted in the ledger
const nameOf = (request) => decodeURIComponent(request.params.account);

function balanceOf(name) {
  const bytes = accounts.get(ccf.strToBuf(name));
  return bytes === undefined ? undefined : ccf.bufToJsonCompatible(bytes);
}

const setBalance = (name, value) => accounts.set(ccf.strToBuf(name), ccf.jsonCompatibleToBuf(value));

const refuse = (statusCode, message) => ({ statusCode, body: { error: { code: "InvalidInput", message } } });

// amountIn returns the amount in a request's body, or undefined if it has none.
function amountIn(body) {
  const { value } = body.json();
  return Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

export function openAccount(request) {
  const name = nameOf(request);
  if (balanceOf(name) !== undefined) return refuse(409, `There is an account ${name}.`);
  setBalance(name, 0);
  return { statusCode: 201, body: { account: name, balance: 0 } };
}

export function getBalance(request) {
  const name = nameOf(request);
  const balance = balanceOf(name);
  if (balance === undefined) return refuse(404, `There is no account ${name}.`);
  return { body: { account: name, balance } };
}

export function deposit(request) {
  const name = nameOf(request);
  const balance = balanceOf(name);
  if (balance === undefined) return refuse(404, `There is no account ${name}.`);
  const value = amountIn(request.body);
  if (value === undefined) return refuse(400, "value must be a positive whole number.");
  setBalance(name, balance + value);
  return { body: { account: name, balance: balance + value } };
}

export function transfer(request) {
  const from = nameOf(request);
  const { to } = request.body.json();
  const value = amountIn(request.body);
  if (value === undefined || typeof to !== "string") return refuse(400, "to must name an account and value be a positive whole number.");
  const [has, gets] = [balanceOf(from), balanceOf(to)];
  if (has === undefined || gets === undefined) return refuse(404, `There is no account ${has === undefined ? from : to}.`);
  if (from === to) return refuse(400, "to must be another account.");
  if (has < value) return refuse(400, `Account ${from} has ${has}, not ${value}.`);
  setBalance(from, has - value);
  setBalance(to, gets + value);
  return { body: { account: from, balance: has - value } };
}
