package js

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
)

func TestCrypto(t *testing.T) {
	s := newService(t, Wasm2Go)
	chain := readPEM(t)
	scripts(t, s, map[string]string{
		"digest": `eq(hex(ccf.crypto.digest("SHA-256", S("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); eq(ccf.digest, ccf.crypto.digest);
			throws(() => ccf.crypto.digest("SHA-1", S("")), "RangeError: unsupported digest algorithm, supported: SHA-256"); throws(() => ccf.crypto.digest("SHA-256", "x"), "TypeError: ArrayBuffer object expected");`,
		"aes key": `eq(ccf.crypto.generateAesKey(256).byteLength, 32); throws(() => ccf.crypto.generateAesKey(100), "RangeError: invalid key size (not one of 128, 192, 256)");`,
		"ecdsa": `for (const [curve, n] of [["secp256r1", 64], ["secp384r1", 96]]) for (const hash of ["SHA-256", "SHA-384", "SHA-512"]) {
			const k = ccf.crypto.generateEcdsaKeyPair(curve); eq(k.privateKey.startsWith("-----BEGIN PRIVATE KEY-----"), true); const alg = {name: "ECDSA", hash};
			const sig = ccf.crypto.sign(alg, k.privateKey, S("data")); eq(sig.byteLength, n); if (hash !== "SHA-256") continue;
			eq(ccf.crypto.verifySignature(alg, k.publicKey, sig, S("data")), true); eq(ccf.crypto.verifySignature(alg, k.publicKey, sig, S("date")), false); }
			throws(() => ccf.crypto.generateEcdsaKeyPair("secp256k1"), "RangeError: Unsupported curve id, supported: secp256r1, secp384r1");`,
		"eddsa": `const k = ccf.crypto.generateEddsaKeyPair("curve25519"); const sig = ccf.crypto.sign({name: "EdDSA"}, k.privateKey, S("data")); eq(sig.byteLength, 64);
			eq(ccf.crypto.verifySignature({name: "EdDSA"}, k.publicKey, sig, S("data")), true); eq(ccf.crypto.verifySignature({name: "EdDSA"}, k.publicKey, sig, S("x")), false);
			const x = ccf.crypto.generateEddsaKeyPair("x25519"); throws(() => ccf.crypto.sign({name: "EdDSA"}, x.privateKey, S("d")), "InternalError: Failed to sign with EdDSA pair: not an Ed25519 key");`,
		"rsa": `const k = ccf.crypto.generateRsaKeyPair(2048, 65537); for (const saltLength of [undefined, 0, 10, 32]) { const alg = {name: "RSA-PSS", hash: "SHA-256", saltLength};
			const sig = ccf.crypto.sign(alg, k.privateKey, S("data")); eq(sig.byteLength, 256); eq(ccf.crypto.verifySignature(alg, k.publicKey, sig, S("data")), true);
			eq(ccf.crypto.verifySignature(alg, k.publicKey, sig, S("dat")), false); eq(ccf.crypto.verifySignature({...alg, saltLength: 11}, k.publicKey, sig, S("data")), false); }
			ccf.crypto.sign({name: "RSA-PSS", hash: "SHA-512"}, k.privateKey, S("data"));`,
		"hmac": `eq(hex(ccf.crypto.sign({name: "HMAC", hash: "SHA-256"}, "key", S("The quick brown fox jumps over the lazy dog"))), "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");`,
		"arguments": `throws(() => ccf.crypto.sign({name: "X", hash: "SHA-256"}, "", S("")), "RangeError: Unsupported signing algorithm, supported: RSA-PSS, ECDSA, EdDSA, HMAC"); throws(() => ccf.crypto.sign(1), "TypeError: Passed 1 arguments, but expected 3");
			throws(() => ccf.crypto.sign({name: "ECDSA", hash: "MD5"}, "", S("")), "RangeError: Unsupported hash algorithm, supported: SHA-256, SHA-384, SHA-512");
			throws(() => ccf.crypto.verifySignature({name: "HMAC", hash: "SHA-256"}, "", S(""), S("")), "RangeError: Unsupported signing algorithm, supported: RSA-PSS, ECDSA, EdDSA");`,
		"certificates": `const root = ` + "`" + chain[0] + "`" + `, leaf = ` + "`" + chain[1] + "`" + `, other = ` + "`" + chain[2] + "`" + `;
			eq(ccf.crypto.isValidX509CertBundle(root + leaf), true); eq(ccf.crypto.isValidX509CertBundle("x"), false); eq(ccf.crypto.isValidX509CertBundle(""), false); eq(ccf.crypto.isValidX509CertBundle(root.slice(0, 100)), false);
			eq(ccf.crypto.isValidX509CertChain(leaf, root), true); eq(ccf.crypto.isValidX509CertChain(leaf, other), false); eq(ccf.crypto.isValidX509CertChain("", root), false); eq(ccf.crypto.isValidX509CertChain(leaf, leaf), true);
			eq(ccf.pemToId(leaf).length, 64); try { ccf.pemToId("x"); throw 1 } catch (e) { eq(String(e), "InternalError: Failed to parse PEM: no PEM certificate") }`,
	})
}

// TestPSSWithoutSalt checks our encoding against crypto/rsa, which verifies
// any salt length if asked to.
func TestPSSWithoutSalt(t *testing.T) {
	for _, bits := range []int{1024, 1025, 1031, 2048} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte("x"))
		sig, err := signPSS(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), crypto.SHA256, digest[:], 0)
		if err != nil {
			t.Fatal(bits, err)
		}
		if err := rsa.VerifyPSS(&k.PublicKey, crypto.SHA256, digest[:], sig, nil); err != nil {
			t.Error(bits, err)
		}
		sig[len(sig)/2] ^= 1
		if verifyPSSNoSalt(&k.PublicKey, crypto.SHA256, digest[:], sig) {
			t.Error(bits, "accepted a changed signature")
		}
	}
}

// readPEM returns a root, a leaf that it signed and an unrelated certificate.
func readPEM(t *testing.T) [3]string {
	t.Helper()
	root, rootKey := newCert(t, nil, nil)
	leaf, _ := newCert(t, root, rootKey)
	other, _ := newCert(t, nil, nil)
	out := [3]string{certPEM(root.Raw), certPEM(leaf.Raw), certPEM(other.Raw)}
	for i := range out {
		if !strings.HasPrefix(out[i], "-----BEGIN") {
			t.Fatal(out[i])
		}
	}
	return out
}
