// Package e2e holds tests of the real binaries, judged where possible by tools
// that are not ours: CCF's own Python package and curl.
//
// The tests have the build tag e2e and are run by `make e2e`, which builds
// bin/ and .venv first. e2e/python is what calls the Python package; e2e/ccf
// runs CCF's own suites.
package e2e
