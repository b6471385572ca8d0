package gov

import (
	"synod"
	"synod/app"
)

// statusJSON is the status of a transaction as the API shows it.
type statusJSON struct {
	Status        synod.TxStatus `json:"status"`
	TransactionID synod.TxID     `json:"transactionId"`
}

// transaction says what this node knows of a transaction.
func (g *gov) transaction(c *app.Context) error {
	text := c.RawPath("transactionId")
	id, err := synod.ParseTxID(text)
	if err != nil {
		return synod.Errorf(400, synod.CodeInvalidQueryParameterValue,
			"The value '%s' passed as parameter 'transactionId' could not be converted to a valid Transaction ID.", text)
	}
	return c.JSON(statusJSON{g.node.Status(id), id})
}

// commit names the last transaction that the service has committed.
func (g *gov) commit(c *app.Context) error {
	id := g.node.Committed()
	return c.JSON(statusJSON{g.node.Status(id), id})
}
