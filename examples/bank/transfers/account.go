package transfers

import (
	"encoding/json"
	"errors"
	"math"

	"synod"
	"synod/app"
)

// account is what is stored of one. The map's name does not start with
// "public:", so the ledger holds it encrypted.
type account struct {
	Bank    string `json:"bank"`    // ID of the user that opened it
	Balance uint64 `json:"balance"` // in cents
}

var accounts = app.MapOf[string, account]("accounts")

type accountPath struct {
	Account string `path:"account"`
}

// open makes an account of the caller's.
func open(c *app.Context, in accountPath) (app.None, error) {
	exists, err := accounts.Has(c.Tx(), in.Account)
	if err != nil {
		return app.None{}, err
	}
	if exists {
		return app.None{}, synod.Errorf(409, "AccountExists", "Account %s is open already.", in.Account)
	}
	return app.None{}, accounts.Put(c.Tx(), in.Account, account{Bank: c.Caller.ID})
}

// balance answers only to the bank whose account it is.
func balance(c *app.Context, in accountPath) (account, error) {
	return owned(c, in.Account)
}

// owned finds an account of the caller's. Somebody else's is not told apart
// from one that does not exist.
func owned(c *app.Context, name string) (account, error) {
	found, ok, err := accounts.Get(c.Tx(), name)
	if err != nil {
		return account{}, err
	}
	if !ok || found.Bank != c.Caller.ID {
		return account{}, synod.Errorf(404, synod.CodeResourceNotFound, "You have no account %s.", name)
	}
	return found, nil
}

type depositOrder struct {
	Account string `json:"account"`
	Amount  uint64 `json:"amount"`
}

// Validate refuses what moves nothing.
func (d depositOrder) Validate() error { return positive(d.Amount) }

func positive(amount uint64) error {
	if amount == 0 {
		return errors.New("the amount must be at least 1 cent")
	}
	return nil
}

// deposit is for the central bank: governance gives it that role as user data.
func deposit(c *app.Context, in depositOrder) (account, error) {
	var data struct {
		Role string `json:"role"`
	}
	if json.Unmarshal(c.Caller.Data, &data) != nil || data.Role != "central" {
		return account{}, synod.Errorf(403, synod.CodeAuthorizationFailed, "Only the central bank makes deposits.")
	}
	return credit(c.Tx(), in.Account, in.Amount)
}

func credit(tx app.Tx, name string, amount uint64) (account, error) {
	to, ok, err := accounts.Get(tx, name)
	if err != nil {
		return account{}, err
	}
	if !ok {
		return account{}, synod.Errorf(404, synod.CodeResourceNotFound, "There is no account %s.", name)
	}
	if to.Balance > math.MaxUint64-amount {
		return account{}, synod.Errorf(400, synod.CodeInvalidInput, "Account %s cannot hold so much.", name)
	}
	to.Balance += amount
	return to, accounts.Put(tx, name, to)
}
