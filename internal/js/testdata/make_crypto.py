"""Makes crypto.json: signatures and certificates by OpenSSL (package
cryptography). The keys are for tests alone and guard nothing."""

import datetime
import hashlib
import hmac
import json
import pathlib
import subprocess
import tempfile
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat)

DATA = b"what is signed"
HASHES = {"SHA-256": hashes.SHA256(), "SHA-384": hashes.SHA384(), "SHA-512": hashes.SHA512()}
RSA = rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()


def private(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def p1363(key, hash):
    r, s = utils.decode_dss_signature(key.sign(DATA, ec.ECDSA(hash)))
    n = key.curve.key_size // 8
    return (r.to_bytes(n, "big") + s.to_bytes(n, "big")).hex()


def short_r(key):
    """A signature whose r begins with a zero, which P1363 keeps."""
    while not (s := p1363(key, HASHES["SHA-256"])).startswith("00"):
        pass
    return s


def pss(hash, salt):
    return RSA.sign(DATA, padding.PSS(padding.MGF1(hash), salt), hash).hex()


def ecdsa():
    for curve in (ec.SECP256R1(), ec.SECP384R1()):
        key = ec.generate_private_key(curve)
        yield {"curve": curve.name, "private": private(key), "public": public(key),
               "signature": p1363(key, HASHES["SHA-256"]), "short": short_r(key)}


def certificate(name, key, issuer=None, ca=True, days=36500, usage=True):
    """issuer is (name, key), without it self-signed; ca None leaves basic constraints out."""
    by, by_key = issuer or (name, key)
    start = datetime.datetime(2024, 1, 1)
    b = (x509.CertificateBuilder()
         .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
         .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, by)]))
         .public_key(key.public_key()).serial_number(x509.random_serial_number())
         .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=days)))
    if ca is not None:
        b = b.add_extension(x509.BasicConstraints(ca, None), critical=True)
    if usage and ca:
        b = b.add_extension(x509.KeyUsage(
            True, False, False, False, False, True, False, False, False), critical=True)
    hash = None if isinstance(by_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return b.sign(by_key, hash).public_bytes(Encoding.PEM).decode()


def version1(key):
    """A self-signed certificate without extensions, which the library does not make."""
    with tempfile.TemporaryDirectory() as d:
        key_file, request = pathlib.Path(d, "key"), pathlib.Path(d, "request")
        key_file.write_text(private(key))
        subprocess.run(("openssl", "req", "-new", "-key", key_file, "-subj", "/CN=v1", "-out", request), check=True)
        return subprocess.run(("openssl", "x509", "-req", "-days", "36500", "-signkey", key_file, "-in", request),
                              check=True, stdout=subprocess.PIPE).stdout.decode()


def certificates():
    root, middle, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    return {
        "root": certificate("root", root),
        "middle": certificate("middle", middle, ("root", root)),
        "leaf": certificate("leaf", leaf, ("middle", middle), ca=False),
        "plain": certificate("plain", leaf, ("middle", middle), ca=None),
        "expired": certificate("expired", leaf, ("middle", middle), ca=False, days=1),
        "other": certificate("other", leaf),
        "self": certificate("self", leaf, ca=False),
        "no_usage": certificate("root", root, usage=False),
        "ed25519": certificate("ed", ED),
        "ec": certificate("leaf", leaf, ("middle", middle), ca=False),
        "ec_signature": p1363(leaf, HASHES["SHA-256"]),
        "rsa": certificate("rsa", RSA),
        "v1": version1(root),
        "v1_leaf": certificate("leaf", leaf, ("v1", root), ca=False),
    }


out = {
    "data": DATA.decode(),
    "ecdsa": list(ecdsa()),
    "rsa": {
        "private": private(RSA), "public": public(RSA),
        "pss": {str(salt): pss(HASHES["SHA-256"], salt) for salt in (0, 1, 20, 32, 222)},
        # Without salt a signature is the same each time.
        "without_salt": {name: pss(h, 0) for name, h in HASHES.items()},
        "pkcs1": RSA.sign(DATA, padding.PKCS1v15(), hashes.SHA256()).hex(),
    },
    "eddsa": {"private": private(ED), "public": public(ED), "signature": ED.sign(DATA).hex()},
    "hmac": {name: hmac.new(b"super secret", DATA, getattr(hashlib, name.replace("-", "").lower())).hexdigest()
             for name in HASHES},
    "certificates": certificates(),
}
with open("crypto.json", "w") as f:
    json.dump(out, f, indent=1)
    f.write("\n")
