// Package history records what clients of a key-value service asked and were
// told, and checks that it is linearizable: that it is as if each operation had
// happened at one moment between its call and its answer. It is for tests:
// simulation and chaos share it. The checker is porcupine.
//
// It starts no goroutine of its own; the checker ends those that it starts.
package history
