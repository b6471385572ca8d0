// A program as users of Azure's SDK for JavaScript have written it: the whole
// life of a managed network. Its client has neither backup nor restore. The
// authority comes by NODE_EXTRA_CA_CERTS, the rest from the environment.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ConfidentialLedgerClient } from "@azure/arm-confidentialledger";

const env = process.env;
const credential = { getToken: async () => ({ token: env.SYNOD_TOKEN, expiresOnTimestamp: Date.now() + 3_600_000 }) };
const client = new ConfidentialLedgerClient(credential, env.SYNOD_SUBSCRIPTION, {
  endpoint: env.SYNOD_URL,
  credentialScopes: [`${env.SYNOD_URL}/.default`],
});
const networks = client.managedCCFOperations;
const [group, name] = [env.SYNOD_GROUP, env.SYNOD_NETWORK];
const nodes = Number(env.SYNOD_NODES);
const quick = { updateIntervalInMs: 200 };

async function step(what, work) {
  const began = Date.now();
  await work();
  console.log(`${what}: ${Date.now() - began} ms`);
}

async function collect(list) {
  const names = [];
  for await (const n of list) names.push(n.name);
  return names;
}

const network = {
  location: "southcentralus",
  tags: { dept: "finance" },
  properties: {
    deploymentType: { languageRuntime: "JS", appSourceUri: "customImage" },
    memberIdentityCertificates: [{ certificate: readFileSync(env.SYNOD_MEMBER, "utf8"), tags: { identifier: "member0", group: "contoso" } }],
    nodeCount: nodes,
  },
};
const sized = (nodeCount) => ({ ...network, properties: { ...network.properties, nodeCount } });

await step("name check", async () => {
  const free = await client.checkNameAvailability({ name, type: "Microsoft.ConfidentialLedger/managedCCFs" });
  assert.equal(free.nameAvailable, true);
});
await step("create", async () => {
  const made = await networks.beginCreateAndWait(group, name, network, quick);
  assert.equal(made.name, name);
  assert.equal(made.properties.provisioningState, "Succeeded");
  assert.match(made.properties.appUri, /^https:/);
  assert.match(made.properties.identityServiceUri, new RegExp(`/ledgerIdentity/${name}$`));
});
await step("get", async () => {
  const got = await networks.get(group, name.toUpperCase());
  assert.equal(got.properties.nodeCount, nodes);
  assert.equal(got.tags.dept, "finance");
  assert.equal(got.properties.memberIdentityCertificates[0].tags.identifier, "member0");
  await assert.rejects(networks.get(group, "missing"), (e) => e.statusCode === 404 && e.code === "ResourceNotFound");
});
await step("list", async () => {
  assert.ok((await collect(networks.listByResourceGroup(group))).includes(name));
  assert.ok((await collect(networks.listBySubscription({ filter: "ledgerType eq 'Public'" }))).includes(name));
  assert.ok((await collect(client.operations.list())).includes("Microsoft.ConfidentialLedger/managedCCFs/write"));
});
await step("update", async () => {
  const poller = await networks.beginUpdate(group, name, { ...sized(nodes + 2), tags: { dept: "audit" } }, quick);
  await poller.pollUntilDone();
  const got = await networks.get(group, name);
  assert.equal(got.properties.nodeCount, nodes + 2);
  assert.equal(got.tags.dept, "audit");
});
await step("errors", async () => {
  await assert.rejects(networks.beginCreateAndWait(group, "even-1", sized(4)), (e) => e.statusCode === 400 && e.code === "InvalidRequestContent");
  const taken = await client.checkNameAvailability({ name, type: "Microsoft.ConfidentialLedger/managedCCFs" });
  assert.deepEqual([taken.nameAvailable, taken.reason], [false, "AlreadyExists"]);
});
await step("delete", async () => {
  await networks.beginDeleteAndWait(group, name, quick);
  await assert.rejects(networks.get(group, name), (e) => e.statusCode === 404);
  await networks.beginDeleteAndWait(group, name, quick); // 204
});
console.log("passed");
