// Command logging is a node that runs the logging application.
//
//	logging --config node.json --log-level info
package main

import (
	"synod/examples/logging/logapp"
	"synod/serve"
)

func main() { serve.Main(logapp.New()) }
