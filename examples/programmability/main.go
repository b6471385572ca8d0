// Command programmability is a node whose admins program endpoints in JavaScript.
//
//	programmability --config node.json --log-level info
package main

import (
	"synod/examples/programmability/programmabilityapp"
	"synod/serve"
)

func main() { serve.Main(programmabilityapp.New()) }
