"""Makes wrapped.json: keys wrapped by OpenSSL (package cryptography). The keys
are for tests alone and guard nothing."""

import json
import os
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat)

SHA256 = hashes.SHA256


def oaep(key, target, label):
    return key.public_key().encrypt(
        target, padding.OAEP(padding.MGF1(SHA256()), SHA256(), label))


def aes():
    for bits in (128, 192, 256):
        for n in [*range(1, 34), 255, 256, 4097]:
            key, target = os.urandom(bits // 8), os.urandom(n)
            yield {"key": key.hex(), "target": target.hex(),
                   "wrapped": keywrap.aes_key_wrap_with_padding(key, target).hex()}


def rsa_aes(key):
    for bits in (128, 192, 256):
        for label in (None, b"label44"):
            once, target = os.urandom(bits // 8), os.urandom(100 + bits)
            yield {"label": (label or b"").hex(), "target": target.hex(), "bits": bits,
                   "wrapped": (oaep(key, once, label) +
                               keywrap.aes_key_wrap_with_padding(once, target)).hex()}


key = rsa.generate_private_key(65537, 2048)
pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
out = {
    "aes": list(aes()),
    "private": pem,
    "oaep": [{"label": (l or b"").hex(), "target": t.hex(), "wrapped": oaep(key, t, l).hex()}
             for l in (None, b"label42") for t in (b"", b"x", os.urandom(190))],
    "oaep_aes": list(rsa_aes(key)),
}
with open("wrapped.json", "w") as f:
    json.dump(out, f, indent=0)
    f.write("\n")
