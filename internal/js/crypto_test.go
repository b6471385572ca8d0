package js

import (
	"os"
	"strings"
	"testing"
)

// vectorsOf is a module text that has the contents of JSON files as constants.
// What made them is said in the README.md beside each.
func vectorsOf(t *testing.T, files map[string]string) string {
	t.Helper()
	var b strings.Builder
	for name, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("const " + name + " = " + string(text) + ";\n")
	}
	b.WriteString(`const C = ccf.crypto, hexed = (s) => new Uint8Array((s.match(/../g) ?? []).map((x) => parseInt(x, 16))).buffer;
		const flipped = (b) => { const u = new Uint8Array(b.slice(0)); u[u.length >> 1] ^= 1; return u.buffer; };
		const fails = (f, start) => { try { f() } catch (e) { eq(String(e).slice(0, start.length), start); return } throw new Error("did not throw: " + start) };
	`)
	return b.String()
}

// cryptoScripts runs scripts on both back ends, after the vectors' text.
func cryptoScripts(t *testing.T, vectors string, cases map[string]string) {
	onBackends(t, func(t *testing.T, s *service) {
		with := map[string]string{}
		for name, body := range cases {
			with[name] = vectors + body
		}
		scripts(t, s, with)
	})
}

// TestCryptoSignatures: signatures of OpenSSL are valid here; ours are equal to
// them where the algorithm has one signature only, and otherwise valid by the
// same judge.
func TestCryptoSignatures(t *testing.T) {
	v := vectorsOf(t, map[string]string{"V": "testdata/crypto.json"}) + "const data = S(V.data);\n"
	cryptoScripts(t, v, map[string]string{
		"digest": `eq(hex(C.digest("SHA-256", S("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
			throws(() => C.digest("SHA-1", S("")), "RangeError: unsupported digest algorithm, supported: SHA-256");
			throws(() => C.digest("SHA-256", "x"), "TypeError: ArrayBuffer object expected"); throws(() => C.digest("SHA-256", new Uint8Array(2)), "TypeError: ArrayBuffer object expected");`,
		"P1363": `for (const k of V.ecdsa) { const alg = {name: "ECDSA", hash: "SHA-256"}, n = k.curve === "secp256r1" ? 32 : 48;
			for (const s of [k.signature, k.short]) { const sig = hexed(s); eq(sig.byteLength, 2 * n); eq(C.verifySignature(alg, k.public, sig, data), true);
				eq(C.verifySignature(alg, k.public, flipped(sig), data), false); eq(C.verifySignature(alg, k.public, sig, S("other")), false);
				eq(C.verifySignature(alg, k.public, sig.slice(1), data), false); eq(C.verifySignature(alg, k.public, sig.slice(2), data), false); eq(C.verifySignature(alg, k.public, S(""), data), false); }
			for (const hash of ["SHA-256", "SHA-384", "SHA-512"]) { const sig = C.sign({name: "ECDSA", hash}, k.private, data); eq(sig.byteLength, 2 * n);
				if (hash === "SHA-256") eq(C.verifySignature(alg, k.public, sig, data), true); } }
			throws(() => C.verifySignature({name: "ECDSA", hash: "SHA-256"}, V.rsa.public, S("ab"), data), "InternalError: Failed to verify signature: invalid EC key");
			throws(() => C.sign({name: "ECDSA", hash: "SHA-256"}, V.rsa.private, data), "InternalError: Failed to sign: invalid EC key");
			throws(() => C.sign({name: "ECDSA", hash: "SHA-256"}, V.ecdsa[0].public, data), "InternalError: Failed to sign: could not parse PEM");`,
		"RSA-PSS": `for (const [salt, s] of Object.entries(V.rsa.pss)) { const alg = {name: "RSA-PSS", hash: "SHA-256", saltLength: Number(salt)}, sig = hexed(s);
				eq(C.verifySignature(alg, V.rsa.public, sig, data), true); eq(C.verifySignature(alg, V.rsa.public, flipped(sig), data), false); eq(C.verifySignature(alg, V.rsa.public, sig, S("x")), false);
				eq(C.verifySignature({...alg, saltLength: Number(salt) + 1}, V.rsa.public, sig, data), false);
				const ours = C.sign(alg, V.rsa.private, data); eq(ours.byteLength, 256); eq(C.verifySignature(alg, V.rsa.public, ours, data), true); eq(C.verifySignature(alg, V.rsa.public, ours.slice(1), data), false); }
			for (const [hash, s] of Object.entries(V.rsa.without_salt)) { eq(hex(C.sign({name: "RSA-PSS", hash, saltLength: 0}, V.rsa.private, data)), s); eq(hex(C.sign({name: "RSA-PSS", hash}, V.rsa.private, data)), s); }
			eq(C.verifySignature({name: "RSA-PSS", hash: "SHA-256"}, V.rsa.public, hexed(V.rsa.pss[0]), data), true);
			eq(C.verifySignature({name: "RSA-PSS", hash: "SHA-256"}, V.rsa.public, hexed(V.rsa.pkcs1), data), false);
			throws(() => C.sign({name: "RSA-PSS", hash: "SHA-256", saltLength: -1}, V.rsa.private, data), "InternalError: Failed to sign: salt length -1");
			fails(() => C.sign({name: "RSA-PSS", hash: "SHA-256", saltLength: 223}, V.rsa.private, data), "InternalError: Failed to sign: ");
			fails(() => C.sign({name: "RSA-PSS", hash: "SHA-256", saltLength: 1e300}, V.rsa.private, data), "InternalError: Failed to sign: ");
			throws(() => C.sign({name: "RSA-PSS", hash: "SHA-256"}, V.eddsa.private, data), "InternalError: Failed to sign: invalid RSA key");
			throws(() => C.verifySignature({name: "RSA-PSS", hash: "SHA-256"}, V.ecdsa[0].public, S(""), data), "InternalError: Failed to verify signature: invalid RSA key");`,
		"EdDSA": `const alg = {name: "EdDSA"}; eq(hex(C.sign(alg, V.eddsa.private, data)), V.eddsa.signature); const sig = hexed(V.eddsa.signature);
			eq(C.verifySignature(alg, V.eddsa.public, sig, data), true); eq(C.verifySignature(alg, V.eddsa.public, flipped(sig), data), false); eq(C.verifySignature(alg, V.eddsa.public, S("short"), data), false);
			const x = C.generateEddsaKeyPair("x25519"); throws(() => C.sign(alg, x.privateKey, data), "InternalError: Failed to sign with EdDSA pair: not an Ed25519 key");
			throws(() => C.verifySignature(alg, x.publicKey, sig, data), "RangeError: Failed to verify EdDSA signature: not an Ed25519 key");
			throws(() => C.verifySignature(alg, "x", sig, data), "RangeError: Failed to verify EdDSA signature: PEM constructed with non-PEM data");`,
		"HMAC": `for (const [hash, s] of Object.entries(V.hmac)) eq(hex(C.sign({name: "HMAC", hash}, "super secret", data)), s);
			throws(() => C.verifySignature({name: "HMAC", hash: "SHA-256"}, "", S(""), S("")), "RangeError: Unsupported signing algorithm, supported: RSA-PSS, ECDSA, EdDSA");`,
		"by certificate": `const c = V.certificates, ec = {name: "ECDSA", hash: "SHA-256"}, pss = {name: "RSA-PSS", hash: "SHA-256", saltLength: 7};
			eq(C.verifySignature(ec, c.ec, hexed(c.ec_signature), data), true); eq(C.verifySignature(ec, c.ec, flipped(hexed(c.ec_signature)), data), false);
			for (const s of [V.rsa.pkcs1, ...Object.values(V.rsa.pss)]) { eq(C.verifySignature(pss, c.rsa, hexed(s), data), true); eq(C.verifySignature(pss, c.rsa, flipped(hexed(s)), data), false); }
			fails(() => C.verifySignature(ec, "-----BEGIN CERTIFICATE-----", S("ab"), data), "InternalError: Failed to verify signature: ");`,
		"arguments": `throws(() => C.sign(1), "TypeError: Passed 1 arguments, but expected 3"); throws(() => C.sign(), "TypeError: Passed 0 arguments, but expected 3");
			throws(() => C.verifySignature(1, 2, 3), "TypeError: Passed 3 arguments, but expected 4"); throws(() => C.digest(1), "TypeError: Passed 1 arguments, but expected 2");
			throws(() => C.sign({name: "X", hash: "SHA-256"}, "", data), "RangeError: Unsupported signing algorithm, supported: RSA-PSS, ECDSA, EdDSA, HMAC");
			throws(() => C.sign({name: "ECDSA", hash: "MD5"}, "", data), "RangeError: Unsupported hash algorithm, supported: SHA-256, SHA-384, SHA-512");
			throws(() => C.sign({name: "ECDSA"}, "", data), "RangeError: Unsupported hash algorithm, supported: SHA-256, SHA-384, SHA-512");
			throws(() => C.verifySignature({name: "ECDSA", hash: "SHA-384"}, "", data, data), "RangeError: Unsupported hash algorithm, supported: SHA-256");
			throws(() => C.sign({name: "HMAC", hash: "SHA-256"}, "", "text"), "TypeError: ArrayBuffer object expected"); throws(() => C.verifySignature({name: "ECDSA", hash: "SHA-256"}, "", "", data), "TypeError: ArrayBuffer object expected");
			for (const a of [undefined, null]) { fails(() => C.sign(a, "", data), "TypeError: "); fails(() => C.verifySignature(a, "", data, data), "TypeError: "); }
			for (const a of [0, "x", [], Symbol()]) throws(() => C.sign(a, "", data), "RangeError: Unsupported hash algorithm, supported: SHA-256, SHA-384, SHA-512");
			throws(() => C.sign({get name() { throw new Error("mine") }}, "", data), "Error: mine"); eq(C.sign.length, 3); eq(C.sign.name, "sign"); eq(C.verifySignature.length, 4);`,
	})
}

// TestCryptoCertificates has the answers of `openssl verify -partial_chain`,
// but for trusted certificates that are no CA's, which CCF refuses itself.
func TestCryptoCertificates(t *testing.T) {
	v := vectorsOf(t, map[string]string{"V": "testdata/crypto.json"}) + "const c = V.certificates;\n"
	cryptoScripts(t, v, map[string]string{
		"bundles": `for (const [text, want] of [[c.root, true], [c.root + c.leaf, true], [c.other + c.expired + c.ed25519, true], ["words\n" + c.root + "\n# more words\n\n" + c.leaf + "the end\n", true],
				["x", false], ["", false], [c.root.slice(0, 100), false], [c.root + c.leaf.slice(0, 100), false], [c.root + V.eddsa.public, false], [c.root.replace("MII", "MIJ"), false]])
				eq(C.isValidX509CertBundle(text) + text.length, want + text.length);
			throws(() => C.isValidX509CertBundle(), "TypeError: Passed 0 arguments, but expected 1"); eq(C.isValidX509CertBundle(1), false);`,
		"chains with intermediate as root": `for (const [what, chain, trusted, want] of [
				["whole", c.leaf + c.middle, c.root, true], ["with root", c.leaf + c.middle + c.root, c.root, true], ["any of trusted", c.leaf + c.middle, c.other.repeat(0) + c.middle + c.root, true],
				["intermediate as root", c.leaf, c.middle, true], ["intermediate as root, also in the chain", c.leaf + c.middle, c.middle, true], ["no extensions", c.plain, c.middle, true],
				["gap", c.leaf, c.root, false], ["unrelated", c.leaf + c.middle, c.other, false], ["expired", c.expired + c.middle, c.root, false], ["itself", c.other, c.other, true],
				["words", "leaf:\n" + c.leaf + "middle:\n" + c.middle, "root:\n" + c.root, true], ["trusted is no CA", c.leaf, c.leaf, false], ["one of trusted is no CA", c.leaf, c.middle + c.self, false],
				["no key usage", c.leaf + c.middle, c.no_usage, true], ["version 1", c.v1_leaf, c.v1, true],
				["empty chain", "", c.root, false], ["empty trusted", c.leaf, "", false], ["both empty", "", "", false], ["trusted broken", c.leaf, c.middle.slice(0, 300), false], ["order", c.middle + c.leaf, c.root, true]])
				eq(what + " " + C.isValidX509CertChain(chain, trusted), what + " " + want);
			throws(() => C.isValidX509CertChain(c.ed25519, c.root), "InternalError: isValidX509Chain failed: unsupported public key type");
			throws(() => C.isValidX509CertChain(c.leaf.replace("MII", "MIJ"), c.root), "InternalError: isValidX509Chain failed: the first certificate cannot be parsed");
			throws(() => C.isValidX509CertChain(c.leaf), "TypeError: Passed 1 arguments, but expected 2");`,
		"identifier": `eq(ccf.pemToId(c.leaf).length, 64); throws(() => ccf.pemToId("x"), "InternalError: Failed to parse PEM: no PEM certificate");`,
	})
}

func TestCryptoJWK(t *testing.T) {
	v := vectorsOf(t, map[string]string{"K": "../jwk/testdata/keys.json"}) + `
		const names = {EC: ["pubPemToJwk", "pemToJwk", "pubJwkToPem", "jwkToPem"], RSA: ["pubRsaPemToJwk", "rsaPemToJwk", "pubRsaJwkToPem", "rsaJwkToPem"],
			OKP: ["pubEddsaPemToJwk", "eddsaPemToJwk", "pubEddsaJwkToPem", "eddsaJwkToPem"]}, all = Object.values(names);
		const sorted = (o) => JSON.stringify(Object.fromEntries(Object.entries(o).sort()));
	`
	cryptoScripts(t, v, map[string]string{
		"JWK equality with jwcrypto": `eq(K.length, 8); for (const k of K) { const [pub, key, pubBack, back] = names[k.kty].map((n) => C[n]), kid = k.public_jwk.kid;
			eq(JSON.stringify(pub(k.public, kid)), sorted(k.public_jwk)); eq(JSON.stringify(key(k.private, kid)), sorted(k.private_jwk));
			eq(pubBack(k.public_jwk), k.public); eq(back(k.private_jwk), k.private); eq(pubBack(k.private_jwk), k.public);
			eq("kid" in pub(k.public), false); eq(pub(k.public, 7).kid, "7"); eq(pub(k.public, undefined).kid, "undefined"); eq(pub(k.public, "é\0\"").kid, "é\0\""); }`,
		"errors": `for (const [pub, key, pubBack, back] of all) {
				for (const n of [pub, key]) { throws(() => C[n](), "TypeError: Passed 0 arguments, but expected 1 or 2"); throws(() => C[n](1, 2, 3), "TypeError: Passed 3 arguments, but expected 1 or 2");
					for (const x of ["", "x", 1, null, {}, "-----BEGIN PUBLIC KEY-----\n"]) fails(() => C[n](x), "InternalError: Failed to convert pem to jwk: ");
					throws(() => C[n]({toString() { throw new Error("mine") }}), "Error: mine"); eq(C[n].length, 1); eq(C[n].name, n); }
				for (const n of [pubBack, back]) { throws(() => C[n](), "TypeError: Passed 0 arguments, but expected 1"); throws(() => C[n]({}, 1), "TypeError: Passed 2 arguments, but expected 1");
					throws(() => C[n]({}), "InternalError: Failed to convert jwk to pem Missing required field 'kty'");
					for (const x of [undefined, null, 1, "x", [], () => 1]) throws(() => C[n](x), "InternalError: Failed to convert jwk to pem the key is not a JSON object");
					const loop = {}; loop.loop = loop; fails(() => C[n](loop), "TypeError: "); throws(() => C[n]({toJSON() { throw new Error("mine") }}), "Error: mine"); eq(C[n].length, 1); } }
			throws(() => C.pubPemToJwk(K[0].public, "\ud800"), "InternalError: Failed to serialise jwk: kid has half of a surrogate pair");
			for (const k of K) for (const other of K) if (k.kty !== other.kty) { fails(() => C[names[k.kty][0]](other.public), "InternalError: Failed to convert pem to jwk: ");
				fails(() => C[names[k.kty][1]](other.private), "InternalError: Failed to convert pem to jwk: "); fails(() => C[names[k.kty][3]](other.private_jwk), "InternalError: Failed to convert jwk to pem Cannot construct "); }`,
		"no secret in an error": `for (const k of K) { const back = C[names[k.kty][3]]; for (const m of Object.keys(k.private_jwk)) for (const x of [undefined, "A" + k.private_jwk[m], k.private_jwk[m] + "!", 1]) {
				let text = ""; try { back({...k.private_jwk, [m]: x}) } catch (e) { text = String(e) }
				for (const s of ["d", "p", "q", "dp", "dq", "qi"]) if (s in k.private_jwk && text.includes(k.private_jwk[s].slice(0, 12))) throw new Error("told " + s); } }`,
	})
}

func TestCryptoWrap(t *testing.T) {
	v := vectorsOf(t, map[string]string{"W": "../keywrap/testdata/wrapped.json", "K": "../jwk/testdata/keys.json"}) + `
		const pem = S(W.private), pub = S(C.pubRsaJwkToPem(C.rsaPemToJwk(W.private))), label = (e) => e.label === "" ? undefined : hexed(e.label);
	`
	cryptoScripts(t, v, map[string]string{
		"AES-KWP": `const p = {name: "AES-KWP"}; for (const e of W.aes) { eq(hex(C.wrapKey(hexed(e.target), hexed(e.key), p)), e.wrapped); eq(hex(C.unwrapKey(hexed(e.wrapped), hexed(e.key), p)), e.target);
				throws(() => C.unwrapKey(flipped(hexed(e.wrapped)), hexed(e.key), p), "InternalError: Failed to unwrap key: the wrapped key is not intact, or the key is another"); }
			throws(() => C.wrapKey(S("x"), S("short"), p), "InternalError: Failed to wrap key: Need at least 128 bits, only have 40"); fails(() => C.wrapKey(S(""), C.generateAesKey(128), p), "InternalError: Failed to wrap key: ");
			fails(() => C.unwrapKey(S(""), C.generateAesKey(128), p), "InternalError: Failed to unwrap key: "); fails(() => C.unwrapKey(S("123456789"), C.generateAesKey(128), p), "InternalError: Failed to unwrap key: ");`,
		"RSA-OAEP": `for (const e of W.oaep) { const p = {name: "RSA-OAEP", label: label(e)}; eq(hex(C.unwrapKey(hexed(e.wrapped), pem, p)), e.target);
				const w = C.wrapKey(hexed(e.target), pub, p); eq(w.byteLength, 256); eq(hex(C.unwrapKey(w, pem, p)), e.target); fails(() => C.unwrapKey(w, pem, {...p, label: S("other")}), "InternalError: Failed to unwrap key: ");
				fails(() => C.unwrapKey(flipped(w), pem, p), "InternalError: Failed to unwrap key: "); }
			const p = {name: "RSA-OAEP"}, target = S("t"); fails(() => C.wrapKey(new ArrayBuffer(191), pub, p), "InternalError: Failed to wrap key: ");
			eq(T(C.unwrapKey(C.wrapKey(target, pub, {...p, label: S("")}), S(W.private + "\0"), {...p, label: "no buffer"})), "t");
			throws(() => C.wrapKey(target, S(""), p), "InternalError: Failed to wrap key: Got PEM of size 0"); throws(() => C.unwrapKey(target, S(""), p), "InternalError: Failed to unwrap key: Got PEM of size 0");
			throws(() => C.wrapKey(target, S("secret"), p), "InternalError: Failed to wrap key: PEM constructed with non-PEM data"); throws(() => C.unwrapKey(target, pub, p), "InternalError: Failed to unwrap key: could not parse PEM");
			throws(() => C.wrapKey(target, S(K[0].public), p), "InternalError: Failed to wrap key: invalid RSA key"); throws(() => C.unwrapKey(target, S(K[0].private), p), "InternalError: Failed to unwrap key: invalid RSA key");`,
		"RSA-OAEP-AES-KWP": `for (const e of W.oaep_aes) { const p = {name: "RSA-OAEP-AES-KWP", aesKeySize: e.bits, label: label(e)}; eq(hex(C.unwrapKey(hexed(e.wrapped), pem, p)), e.target);
				const w = C.wrapKey(hexed(e.target), pub, p); eq(w.byteLength, e.wrapped.length / 2); eq(hex(C.unwrapKey(w, pem, {...p, aesKeySize: 0})), e.target); fails(() => C.unwrapKey(w, pem, {...p, label: S("other")}), "InternalError: Failed to unwrap key: ");
				const last = new Uint8Array(w.slice(0)); last[last.length - 1] ^= 1; fails(() => C.unwrapKey(last.buffer, pem, p), "InternalError: Failed to unwrap key: the wrapped key is not intact"); }
			const p = {name: "RSA-OAEP-AES-KWP"}; for (const aesKeySize of [undefined, 0, 512, -128, "x"]) throws(() => C.wrapKey(S("x"), pub, {...p, aesKeySize}), "InternalError: Failed to wrap key: invalid key size");
			fails(() => C.wrapKey(S("x"), pub, {...p, aesKeySize: Symbol()}), "TypeError: "); throws(() => C.unwrapKey(new ArrayBuffer(256), pem, p), "InternalError: Failed to unwrap key: not enough ciphertext");`,
		"arguments": `const b = S("x"); throws(() => C.wrapKey(b, b), "TypeError: Passed 2 arguments, but expected 3"); throws(() => C.unwrapKey(), "TypeError: Passed 0 arguments, but expected 3"); throws(() => C.wrapKey(b, b, {}, 1), "TypeError: Passed 4 arguments, but expected 3");
			for (const p of [{name: "AES"}, {}, 1]) { throws(() => C.wrapKey(b, b, p), "RangeError: unsupported key wrapping algorithm, supported: RSA-OAEP, AES-KWP, RSA-OAEP-AES-KWP");
				throws(() => C.unwrapKey(b, b, p), "RangeError: unsupported key unwrapping algorithm, supported: RSA-OAEP, AES-KWP, RSA-OAEP-AES-KWP"); }
			for (const f of [C.wrapKey, C.unwrapKey]) { throws(() => f("x", b, {name: "AES-KWP"}), "TypeError: ArrayBuffer object expected"); throws(() => f(b, "x", {name: "AES-KWP"}), "TypeError: ArrayBuffer object expected");
				for (const p of [undefined, null]) fails(() => f(b, b, p), "TypeError: "); throws(() => f(b, b, {get name() { throw new Error("mine") }}), "Error: mine"); fails(() => f(b, b, {name: Symbol()}), "TypeError: "); eq(f.length, 3); }`,
	})
}

func TestCryptoGenerate(t *testing.T) {
	cryptoScripts(t, vectorsOf(t, nil), map[string]string{
		"AES": `for (const n of [128, 192, 256]) { eq(C.generateAesKey(n).byteLength, n / 8); eq(hex(C.generateAesKey(n)) === hex(C.generateAesKey(n)), false); }
			for (const n of [100, 0, -128, 512, "x", undefined]) throws(() => C.generateAesKey(n), "RangeError: invalid key size (not one of 128, 192, 256)"); throws(() => C.generateAesKey(), "TypeError: Passed 0 arguments, but expected 1");`,
		"ECDSA": `for (const [curve, crv] of [["secp256r1", "P-256"], ["secp384r1", "P-384"]]) { const k = C.generateEcdsaKeyPair(curve), alg = {name: "ECDSA", hash: "SHA-256"}; eq(C.pemToJwk(k.privateKey).crv, crv);
				eq(C.jwkToPem(C.pemToJwk(k.privateKey)), k.privateKey); eq(C.pubJwkToPem(C.pemToJwk(k.privateKey)), k.publicKey); eq(C.verifySignature(alg, k.publicKey, C.sign(alg, k.privateKey, S("x")), S("x")), true); }
			throws(() => C.generateEcdsaKeyPair("secp256k1"), "RangeError: Unsupported curve id, supported: secp256r1, secp384r1"); throws(() => C.generateEcdsaKeyPair(), "TypeError: Passed 0 arguments, but expected 1");`,
		"EdDSA": `for (const [curve, crv] of [["curve25519", "Ed25519"], ["x25519", "X25519"]]) { const k = C.generateEddsaKeyPair(curve); eq(C.eddsaPemToJwk(k.privateKey).crv, crv);
				eq(C.eddsaJwkToPem(C.eddsaPemToJwk(k.privateKey)), k.privateKey); eq(C.pubEddsaJwkToPem(C.eddsaPemToJwk(k.privateKey)), k.publicKey); }
			throws(() => C.generateEddsaKeyPair("ed448"), "RangeError: Unsupported curve id, supported: curve25519, x25519"); throws(() => C.generateEddsaKeyPair(1, 2), "TypeError: Passed 2 arguments, but expected 1");`,
		"RSA": `for (const [bits, e, written] of [[1024, 3, "Aw"], [1024, 5, "BQ"], [1025, 17, "EQ"], [1031, 2147483647, "f____w"], [1024, undefined, "AQAB"], [1024, 65537, "AQAB"]]) {
				const k = e === undefined ? C.generateRsaKeyPair(bits) : C.generateRsaKeyPair(bits, e), j = C.rsaPemToJwk(k.privateKey); eq(j.e, written); eq(C.rsaJwkToPem(j), k.privateKey); eq(C.pubRsaJwkToPem(j), k.publicKey);
				eq(j.n.length, Math.ceil(Math.ceil(bits / 8) * 4 / 3)); const p = {name: "RSA-OAEP"}; eq(T(C.unwrapKey(C.wrapKey(S("x"), S(k.publicKey), p), S(k.privateKey), p)), "x");
				for (const saltLength of [0, 20]) { const alg = {name: "RSA-PSS", hash: "SHA-256", saltLength}; eq(C.verifySignature(alg, k.publicKey, C.sign(alg, k.privateKey, S("x")), S("x")), true); } }
			for (const bits of [0, 512, 1023, 8193, -1, 1e300, NaN]) fails(() => C.generateRsaKeyPair(bits), "InternalError: Failed to generate RSA key pair: unsupported key size ");
			for (const e of [0, 1, 2, 4, 65536, -3, 2147483649, undefined, NaN]) fails(() => C.generateRsaKeyPair(1024, e), "InternalError: Failed to generate RSA key pair: unsupported exponent ");
			throws(() => C.generateRsaKeyPair(), "TypeError: Passed 0 arguments, but expected 1 or 2"); throws(() => C.generateRsaKeyPair(1, 2, 3), "TypeError: Passed 3 arguments, but expected 1 or 2"); fails(() => C.generateRsaKeyPair(Symbol()), "TypeError: ");`,
		"aliases": `for (const m of ["digest", "generateAesKey", "generateRsaKeyPair", "generateEcdsaKeyPair", "wrapKey", "isValidX509CertBundle", "isValidX509CertChain"]) eq(ccf[m], C[m]); eq(Object.keys(C).length, 23);`,
	})
}
