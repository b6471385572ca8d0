// Command basic is a node that runs the application that load generators drive.
//
//	basic --config node.json --log-level info
package main

import (
	"synod/examples/basic/basicapp"
	"synod/serve"
)

func main() { serve.Main(basicapp.New()) }
