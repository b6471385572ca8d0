// Package secretstest is for tests of packages that read what CCF wrote: the ledger
// secrets of its service, as one of its members recovers them.
package secretstest
