// Command nobuiltins is a node that runs an application without the common endpoints.
//
//	nobuiltins --config node.json --log-level info
package main

import (
	"synod/examples/nobuiltins/nobuiltinsapp"
	"synod/serve"
)

func main() { serve.Main(nobuiltinsapp.New()) }
