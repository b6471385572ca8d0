// Command synod-node is a node alone: what an attested image of a service with
// a JavaScript application links, and nothing else.
package main

import "synod/serve"

func main() { serve.Main(nil) }
