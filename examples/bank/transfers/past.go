package transfers

import (
	"errors"
	"hash/fnv"

	"synod"
	"synod/app"
)

// declarePast declares what is answered from the past, and as it goes on.
func declarePast(a *app.App) {
	p := &payments{a.IndexBy("accounts by transfer", settled.Name(), accountsOf)}
	a.Get("/transfers/receipt", app.HistoricalQuery(proven)).Historical()
	app.Typed(a, "GET", "/accounts/{account}/before", before, app.UserCert).Historical()
	app.Typed(a, "GET", "/accounts/{account}/transfers", p.list, app.UserCert).Historical()
	a.Get("/transfers/changes", app.ChangeFeed(app.Feed{Maps: []string{count.Name()}, Event: total})).Historical()
}

// proven answers with the proof of a transfer, of any age: the client names it
// by the header x-ms-ccf-transaction-id.
func proven(c *app.Context, s *app.State) error {
	if settled.Len(s) == 0 {
		return synod.Errorf(404, synod.CodeResourceNotFound, "Transaction %s is no transfer.", s.ID())
	}
	proof, err := s.Proof()
	if err != nil {
		return err
	}
	c.Bytes("application/json", proof.Receipt)
	return nil
}

type accountAt struct {
	Account string `path:"account"`
	SeqNo   uint64 `query:"seqno"`
}

// before answers what an account of the caller's held after a transaction.
func before(c *app.Context, in accountAt) (account, error) {
	var found account
	err := c.Node().History().At(synod.SeqNo(in.SeqNo), []string{accounts.Name()}, func(r app.Reader) error {
		there, ok, err := accounts.Get(r, in.Account)
		if err == nil && (!ok || there.Bank != c.Caller.ID) {
			err = synod.Errorf(404, synod.CodeResourceNotFound, "You had no account %s then.", in.Account)
		}
		found = there
		return err
	})
	if errors.Is(err, app.ErrNotYet) {
		c.Retry("The accounts of then are being read")
		return account{}, nil
	}
	return found, err
}

// payments finds the transfers of an account.
type payments struct{ byAccount *app.KeyIndex }

// accountsOf are the accounts that a transfer concerns.
func accountsOf(w app.Write) [][]byte {
	_, o, err := settled.Change(w)
	if err != nil || w.Deleted {
		return nil
	}
	return [][]byte{[]byte(o.From), []byte(o.To)}
}

// list answers the transfers of an account of the caller's, oldest first.
func (p *payments) list(c *app.Context, in accountPath) ([]order, error) {
	if _, err := owned(c, in.Account); err != nil {
		return nil, err
	}
	to := c.Node().Committed().SeqNo
	upTo, err := p.byAccount.UpTo(c.Node())
	if err != nil {
		return nil, err
	}
	seqnos := p.byAccount.Seqnos([]byte(in.Account), 1, min(to, upTo))
	orders := []order{}
	if len(seqnos) == 0 {
		return orders, nil
	}
	handle := fnv.New64a() // whoever asks for the same goes on with the same request
	handle.Write([]byte(in.Account))
	states, err := c.Node().History().States(handle.Sum64(), seqnos, app.DefaultExpiry)
	if errors.Is(err, app.ErrNotYet) {
		c.Retry("The transfers are being read")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, s := range states {
		if err := settled.ForEach(s, func(_ string, o order) bool { orders = append(orders, o); return true }); err != nil {
			return nil, err
		}
	}
	return orders, nil
}

// total is what the feed tells of each transfer.
func total(_ *app.Context, s *app.State) (any, error) {
	n, _, err := count.Get(s)
	return map[string]uint64{"transfers": n}, err
}
