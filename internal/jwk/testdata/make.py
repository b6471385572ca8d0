"""Makes keys.json: keys as OpenSSL writes them (package cryptography) and as
JSON Web Keys (package jwcrypto). They are for tests alone and guard nothing."""

import json
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat)
from jwcrypto import jwk

KEYS = {
    "P-256": ("EC", ec.generate_private_key(ec.SECP256R1())),
    # With leading zeros, which are kept.
    "P-256 short": ("EC", ec.derive_private_key(0x1234567, ec.SECP256R1())),
    "P-384": ("EC", ec.generate_private_key(ec.SECP384R1())),
    "RSA 2048": ("RSA", rsa.generate_private_key(65537, 2048)),
    "RSA 1024, exponent 3": ("RSA", rsa.generate_private_key(3, 1024)),
    "RSA 2047": ("RSA", rsa.generate_private_key(65537, 2047)),
    "Ed25519": ("OKP", ed25519.Ed25519PrivateKey.generate()),
    "X25519": ("OKP", x25519.X25519PrivateKey.generate()),
}


def entry(name, kty, key):
    def private(form):
        return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()

    pem = private(PrivateFormat.PKCS8)
    public = key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    e = {
        "name": name, "kty": kty, "private": pem, "public": public,
        "private_jwk": jwk.JWK.from_pem(pem.encode()).export(as_dict=True),
        "public_jwk": jwk.JWK.from_pem(public.encode()).export_public(as_dict=True),
    }
    if kty != "OKP":
        e["older"] = private(PrivateFormat.TraditionalOpenSSL)
    if kty == "RSA":
        e["older_public"] = key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.PKCS1).decode()
    return e


with open("keys.json", "w") as f:
    json.dump([entry(name, *k) for name, k in KEYS.items()], f, indent=1)
    f.write("\n")
