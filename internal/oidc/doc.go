// Package oidc fetches the keys with which an OpenID provider signs tokens
// (OpenID Connect Discovery 1.0 §4, RFC 7517).
//
// Both requests go over TLS to a server that a bundle of certificates vouches
// for, which members chose. What comes back is read within bounds and is not
// believed further than that: package gov judges the keys.
package oidc
