// Package nobuiltinsapp is an application without the common endpoints, which
// makes its own from what a node tells its applications
// (CCF: samples/apps/nobuiltins/nobuiltins.cpp).
package nobuiltinsapp
