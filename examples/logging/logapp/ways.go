package logapp

import (
	"errors"
	"strconv"

	"synod"
	"synod/app"
)

// declareWays declares the other ways to write a private record.
func declareWays(a *app.App) {
	app.Typed(a, "POST", "/log/private/anonymous", postAnonymous)
	app.Typed(a, "POST", "/log/private/anonymous/v2", postWithTxID)
	app.Typed(a, "POST", "/log/private/prefix_cert", postPrefixed, app.UserCert)
	app.Typed(a, "POST", "/log/private/admin_only", postAsAdmin, app.UserCert)
	app.Document[app.None, app.None](a.Post("/log/private/raw_text/{id}", postRawText, std...)).Returns(200)
}

func store(c *app.Context, id uint64, msg string) (bool, error) {
	return true, private.records(c).Put(c.Tx(), id, msg)
}

func postAnonymous(c *app.Context, r record) (bool, error) {
	return store(c, r.ID, "Anonymous: "+r.Msg)
}

// stored is the answer that says which transaction stored a record.
type stored struct {
	Success bool   `json:"success"`
	TxID    string `json:"tx_id"`
}

var errNoUserData = errors.New("didn't set user_data!")

// postWithTxID completes its answer when the transaction has its ID. With
// fail=true that step fails; the record is stored all the same.
func postWithTxID(c *app.Context, r record) (stored, error) {
	out := stored{Success: true}
	c.OnOrdered(func(id synod.TxID) error {
		if fail, _ := c.Query("fail"); fail == "true" {
			return errNoUserData
		}
		out.TxID = id.String()
		return c.JSON(out)
	})
	return out, private.records(c).Put(c.Tx(), r.ID, r.Msg)
}

// prefixedRecord is a record whose text about an empty message differs by a
// dot.
type prefixedRecord record

// Validate refuses an empty message.
func (r prefixedRecord) Validate() error {
	if r.Msg == "" {
		return errors.New("Cannot record an empty log message") //nolint:staticcheck // shown to clients as CCF words it
	}
	return nil
}

// OpenAPIName is the schema's name.
func (prefixedRecord) OpenAPIName() string { return record{}.OpenAPIName() }

func postPrefixed(c *app.Context, r prefixedRecord) (bool, error) {
	return store(c, r.ID, c.Caller.ID+": "+r.Msg)
}

func postAsAdmin(c *app.Context, r record) (bool, error) {
	if !isAdmin(c.Caller.Data) {
		return false, synod.Errorf(403, synod.CodeAuthorizationFailed, "Only admins may access this endpoint.")
	}
	return store(c, r.ID, r.Msg)
}

func postRawText(c *app.Context) error {
	if got := c.Request.Header.Get("content-type"); got != "text/plain" {
		return synod.Errorf(415, synod.CodeInvalidHeaderValue, "Expected content-type 'text/plain'. Got '%s'.", got)
	}
	id, err := strconv.ParseUint(c.Path("id"), 10, 64)
	if err != nil {
		return synod.Errorf(400, synod.CodeInvalidInput, "Unable to parse ID component in request path as a number.")
	}
	if err := private.records(c).Put(c.Tx(), id, string(c.Request.Body)); err != nil {
		return err
	}
	c.Status(200)
	return nil
}
