"""A program as users of Azure's SDK for Python have written it: the whole life
of a managed network, and whom to trust from the identity service. The authority
comes by REQUESTS_CA_BUNDLE, the rest from the environment."""

import os
import time

from azure.confidentialledger.certificate import ConfidentialLedgerCertificateClient
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.confidentialledger import ConfidentialLedger
from azure.mgmt.confidentialledger.models import (
    DeploymentType,
    ManagedCCF,
    ManagedCCFBackup,
    ManagedCCFProperties,
    ManagedCCFRestore,
    MemberIdentityCertificate,
)

env = os.environ
group, name, nodes = env["SYNOD_GROUP"], env["SYNOD_NETWORK"], int(env["SYNOD_NODES"])


class Token:
    def get_token(self, *scopes, **kwargs):
        return AccessToken(env["SYNOD_TOKEN"], int(time.time()) + 3600)


client = ConfidentialLedger(
    Token(), env["SYNOD_SUBSCRIPTION"], base_url=env["SYNOD_URL"], credential_scopes=[env["SYNOD_URL"] + "/.default"], polling_interval=1
)
networks = client.managed_ccf


def step(what, work):
    began = time.monotonic()
    work()
    print(f"{what}: {int(1000 * (time.monotonic() - began))} ms")


def refused(work, status, code):
    try:
        work()
    except HttpResponseError as e:
        assert e.status_code == status and e.error.code == code, (e.status_code, e.error)
    else:
        raise AssertionError(f"not refused with {code}")


def network(count, tags):
    with open(env["SYNOD_MEMBER"], encoding="utf-8") as f:
        certificate = f.read()
    return ManagedCCF(
        location="southcentralus",
        tags=tags,
        properties=ManagedCCFProperties(
            deployment_type=DeploymentType(app_source_uri="", language_runtime="JS"),
            member_identity_certificates=[MemberIdentityCertificate(certificate=certificate, encryptionkey="", tags={"identifier": "member0"})],
            node_count=count,
        ),
    )


def create():
    made = networks.begin_create(group, name, network(nodes, {"dept": "finance"})).result()
    assert made.name == name and made.properties.provisioning_state == "Succeeded", made.as_dict()
    assert made.properties.app_uri.startswith("https://"), made.as_dict()


def get():
    got = networks.get(group, name.upper())
    assert got.properties.node_count == nodes and got.tags == {"dept": "finance"}, got.as_dict()
    refused(lambda: networks.get(group, "missing"), 404, "ResourceNotFound")


def identity():
    service = ConfidentialLedgerCertificateClient(certificate_endpoint=env["SYNOD_URL"])
    found = service.get_ledger_identity(name)
    assert found["ledgerTlsCertificate"].startswith("-----BEGIN CERTIFICATE-----"), found
    assert found["ledgerId"] == name
    try:
        service.get_ledger_identity("missing")
    except ResourceNotFoundError:
        pass
    else:
        raise AssertionError("an unknown network has an identity")


def lists():
    assert name in [n.name for n in networks.list_by_resource_group(group)]
    assert name in [n.name for n in networks.list_by_subscription()]
    assert "Microsoft.ConfidentialLedger/managedCCFs/write" in [o.name for o in client.operations.list()]


def update():
    networks.begin_update(group, name, network(nodes + 2, {"dept": "audit"})).result()
    got = networks.get(group, name)
    assert got.properties.node_count == nodes + 2 and got.tags == {"dept": "audit"}, got.as_dict()


def backup():
    done = networks.begin_backup(group, name, ManagedCCFBackup(uri=env["SYNOD_BACKUP"], restore_region="southcentralus")).result()
    assert done.message, done.as_dict()
    print("backup:", done.message)
    if not env["SYNOD_SHARE"]:  # the message names it: backup NAME: …
        env["SYNOD_SHARE"] = done.message.split()[1].rstrip(":")


def delete():
    networks.begin_delete(group, name).result()
    refused(lambda: networks.get(group, name), 404, "ResourceNotFound")
    networks.begin_delete(group, name).result()  # 204


def restore():
    share = ManagedCCFRestore(file_share_name=env["SYNOD_SHARE"], restore_region="southcentralus", uri=env["SYNOD_BACKUP"])
    done = networks.begin_restore(group, name, share).result()
    assert done.message, done.as_dict()
    assert networks.get(group, name).properties.provisioning_state == "Succeeded"
    refused(lambda: networks.begin_restore(group, name, share), 409, "ResourceAlreadyExists")
    networks.begin_delete(group, name).result()


step("create", create)
step("get", get)
step("identity", identity)
step("list", lists)
step("update", update)
step("errors", lambda: refused(lambda: networks.begin_create(group, "even-1", network(4, {})), 400, "InvalidRequestContent"))
if env.get("SYNOD_BACKUP"):
    step("backup", backup)
step("delete", delete)
if env.get("SYNOD_SHARE"):
    step("restore", restore)
print("passed")
