// Package portal tests the portal in a browser; see portal_test.go.
package portal
