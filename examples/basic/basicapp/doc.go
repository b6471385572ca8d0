// Package basicapp is an application for load generators: records of bytes by
// key, with as little around them as there can be
// (CCF: samples/apps/basic/basic.cpp).
package basicapp
