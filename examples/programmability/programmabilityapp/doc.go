// Package programmabilityapp lets users who are admins program endpoints in
// JavaScript, beside endpoints in Go (CCF: samples/apps/programmability). Signed
// installations prove themselves to auditors; see package jsapp.
//
// Reading order: app.go, endpoints.go, roles.go.
package programmabilityapp
