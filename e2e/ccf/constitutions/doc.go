// Package constitutions drives bin/synod-node under CCF's own constitutions,
// as they are in a checkout that CCF_TREE names: activation, opening, and
// proposals by each kind of member with the outcome that CCF has. Its tests
// need the build tag e2e and built binaries.
package constitutions
