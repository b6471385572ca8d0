// Package serve links a node around one application: it reads the command
// line and the configuration that CCF's nodes take, starts the node, obeys
// signals and says by its exit code how it ended.
//
// It is the only public way to start a node. A native application's main is
//
//	func main() { serve.Main(records.App()) }
//
// Goroutines: the node's own, and one that waits for signals.
//
// Reading order: serve.go, signals.go.
package serve
