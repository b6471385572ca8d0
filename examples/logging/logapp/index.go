package logapp

import (
	"errors"
	"fmt"
	"sync"

	"synod"
	"synod/app"
)

// committedRecords keeps the committed private records in memory. It is state
// of one process: each node has its own, and only while it is installed.
type committedRecords struct {
	mu      sync.Mutex
	byID    map[uint64]string // guarded by mu; nil while not installed
	current synod.TxID        // guarded by mu: newest transaction that it knows of
	failed  error             // guarded by mu: what could not be read
}

const indexName = "CommittedRecords records"

func declareIndex(a *app.App) {
	ix := &committedRecords{}
	command := func(e *app.Endpoint) {
		app.Document[app.None, app.None](e.NoTx().Forward(app.ForwardSometimes).Redirect(app.RedirectNone))
	}
	command(a.Post("/log/private/install_committed_index", ix.install))
	command(a.Post("/log/private/uninstall_committed_index", ix.uninstall))
	app.Document[recordQuery, message](a.Get("/log/private/committed", ix.get).ReadOnly())
}

func (ix *committedRecords) install(c *app.Context) error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.byID != nil {
		return precondition(c, "Already installed")
	}
	ix.failed, ix.byID, ix.current = nil, map[uint64]string{}, c.Node().Committed()
	if err := c.Node().InstallIndex(app.Index{Name: indexName, Map: "records", Apply: ix.apply}); err != nil {
		ix.byID = nil
		return err
	}
	return nil
}

func (ix *committedRecords) uninstall(c *app.Context) error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.byID == nil {
		return precondition(c, "Not currently installed")
	}
	c.Node().UninstallIndex(indexName)
	ix.byID = nil
	return nil
}

// precondition answers with CCF's text, which is no error body.
func precondition(c *app.Context, text string) error {
	c.Status(412)
	c.Text(text)
	return nil
}

func (ix *committedRecords) apply(id synod.TxID, writes []app.Write) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.byID == nil {
		return
	}
	ix.current = id
	for _, w := range writes {
		key, msg, err := recordsOf("records").Change(w)
		switch {
		case err != nil:
			ix.failed = err
		case w.Deleted:
			delete(ix.byID, key)
		default:
			ix.byID[key] = msg
		}
	}
}

// get answers from the index. Its errors have the shape that CCF gives them.
func (ix *committedRecords) get(c *app.Context) error {
	fail := func(fields map[string]string) error {
		c.Status(400)
		return c.JSON(map[string]any{"error": fields})
	}
	// Before looking: everything up to here has been applied by now.
	current := c.Node().Committed()
	id, err := app.QueryUint(c, "id")
	if wire := (*synod.Error)(nil); errors.As(err, &wire) {
		return fail(map[string]string{"code": wire.Code, "message": wire.Message})
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.byID == nil {
		return synod.Errorf(412, synod.CodePreconditionFailed, "The committed index is not installed. POST to /log/private/install_committed_index first.")
	}
	if ix.failed != nil {
		return ix.failed
	}
	if msg, ok := ix.byID[id]; ok {
		return c.JSON(message{msg})
	}
	if current.SeqNo < ix.current.SeqNo {
		current = ix.current
	}
	return fail(map[string]string{
		"code": synod.CodeResourceNotFound, "message": fmt.Sprintf("No such record: %d.", id), "current_txid": current.String(),
	})
}
