// Command bank is a node of a ledger of transfers between banks.
//
//	bank --config node.json
package main

import (
	"example.com/bank/transfers"
	"synod/serve"
)

func main() { serve.Main(transfers.New()) }
