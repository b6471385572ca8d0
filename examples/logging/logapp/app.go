package logapp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"synod"
	"synod/app"
)

// New declares the application's endpoints.
func New() *app.App {
	a := app.New("logging").Describe("CCF Sample Logging App",
		"This sample app implements a simple logging application, securely recording messages at client-specified IDs.",
		"2.8.0")

	std := []app.Policy{app.JWT, app.UserCert, app.UserCOSE}
	for _, k := range []kind{private, public} {
		path := "/log/" + string(k)
		a.Post(path, k.post, std...)
		a.Get(path, k.get, std...).ReadOnly()
		a.Delete(path, k.remove, std...)
		a.Delete(path+"/all", k.clear, std...)
		a.Get(path+"/count", k.count, std...)
		a.Get(path+"/backup", k.get, std...).ReadOnly().Redirect(app.RedirectToBackup)
	}
	a.Post("/log/private/anonymous", postAnonymous)
	a.Post("/log/private/prefix_cert", postPrefixed, app.UserCert)
	a.Post("/log/private/admin_only", postAsAdmin, app.UserCert)
	a.Post("/log/private/raw_text/{id}", postRawText, std...)
	a.Get("/log/request_query", requestQuery)
	a.Post("/log/cose_signed_content", coseContent, app.MemberCOSE(""))
	a.Post("/multi_auth", multiAuth, app.AllOf(app.UserCert, app.JWT, app.UserCOSE),
		app.UserCert, app.MemberCert, app.AnyCert, app.JWT, app.UserCOSE, app.NoAuth)
	return a
}

func (k kind) post(c *app.Context) error {
	r, err := readRecord(c, "Cannot record an empty log message.")
	if err != nil {
		return err
	}
	records := k.records(c)
	if k == public {
		if err := checkMatch(c, records, r.id, false); err != nil {
			return err
		}
		digest := sha256.Sum256([]byte(r.msg))
		if r.claim {
			c.Claim(digest)
		}
		c.SetHeader("etag", hex.EncodeToString(digest[:]))
	}
	if err := records.Put(c.Tx(), r.id, r.msg); err != nil {
		return err
	}
	return c.JSON(true)
}

func (k kind) get(c *app.Context) error {
	id, err := queryID(c)
	if err != nil {
		return err
	}
	records := k.records(c)
	msg, ok, err := records.Get(c.Tx(), id)
	if err != nil {
		return err
	}
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "No such record: %d.", id)
	}
	if k == public {
		if err := checkMatch(c, records, id, true); err != nil {
			return err
		}
		if c.Response().Status == statusNotModified {
			return nil
		}
		c.SetHeader("etag", etag(msg))
	}
	return c.JSON(map[string]string{"msg": msg})
}

func (k kind) remove(c *app.Context) error {
	id, err := queryID(c)
	if err != nil {
		return err
	}
	records := k.records(c)
	existed, err := records.Has(c.Tx(), id)
	if err != nil {
		return err
	}
	if k == public {
		if err := checkMatch(c, records, id, true); err != nil {
			return err
		}
		if c.Response().Status == statusNotModified {
			return nil
		}
	}
	if err := records.Delete(c.Tx(), id); err != nil {
		return err
	}
	return c.JSON(existed)
}

func (k kind) clear(c *app.Context) error {
	k.records(c).Clear(c.Tx())
	return c.JSON(true)
}

func (k kind) count(c *app.Context) error { return c.JSON(k.records(c).Len(c.Tx())) }

// storePrivate is the end of every endpoint that writes one private record.
func storePrivate(c *app.Context, id uint64, msg string) error {
	if err := private.records(c).Put(c.Tx(), id, msg); err != nil {
		return err
	}
	return c.JSON(true)
}

func postAnonymous(c *app.Context) error {
	r, err := readRecord(c, "Cannot record an empty log message.")
	if err != nil {
		return err
	}
	return storePrivate(c, r.id, "Anonymous: "+r.msg)
}

func postPrefixed(c *app.Context) error {
	r, err := readRecord(c, "Cannot record an empty log message")
	if err != nil {
		return err
	}
	return storePrivate(c, r.id, c.Caller.ID+": "+r.msg)
}

func postAsAdmin(c *app.Context) error {
	if !isAdmin(c.Caller.Data) {
		return synod.Errorf(403, synod.CodeAuthorizationFailed, "Only admins may access this endpoint.")
	}
	r, err := readRecord(c, "Cannot record an empty log message.")
	if err != nil {
		return err
	}
	return storePrivate(c, r.id, r.msg)
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

func requestQuery(c *app.Context) error {
	c.Text(c.Request.DecodedQuery())
	return nil
}

func coseContent(c *app.Context) error {
	if c.Caller.COSE == nil {
		return fmt.Errorf("policy %s gave no signed content", c.Caller.Policy)
	}
	c.Text(string(c.Caller.COSE.Content))
	return nil
}
