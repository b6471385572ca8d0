package logapp

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"synod"
	"synod/app"
)

// std are the policies of most endpoints.
var std = []app.Policy{app.JWT, app.UserCert, app.UserCOSE}

// New declares the application's endpoints.
func New() *app.App {
	a := app.New("logging").Describe("CCF Sample Logging App",
		"This CCF sample app implements a simple logging application, securely recording messages at client-specified IDs. "+
			"It demonstrates most of the features available to CCF apps.",
		"2.8.0").ClaimAtGenesis(constitutionDigest)
	for _, k := range []kind{private, public} {
		path := "/log/" + string(k)
		app.Typed(a, "POST", path, k.post, std...)
		app.Typed(a, "GET", path, k.get, std...).ReadOnly()
		app.Typed(a, "DELETE", path, k.remove, std...)
		app.Typed(a, "DELETE", path+"/all", k.clear, std...)
		app.Typed(a, "GET", path+"/count", k.count, std...)
		app.Typed(a, "GET", path+"/backup", k.get, std...).ReadOnly().Redirect(app.RedirectToBackup)
	}
	declareWays(a)
	declareIndex(a)
	declareProofs(a)
	declarePast(a)
	declareCallers(a)
	return a
}

// constitutionDigest is what the service's first transaction claims: a receipt
// of it proves under which constitution the service began.
func constitutionDigest(tx app.Tx) ([32]byte, error) {
	text, _, err := app.ValueWith("public:ccf.gov.constitution", app.JSONCodec[string]()).Get(tx)
	return sha256.Sum256([]byte(text)), err
}

func (k kind) post(c *app.Context, r record) (bool, error) {
	records := k.records(c)
	if k == public {
		if err := checkMatch(c, records, r.ID, false); err != nil {
			return false, err
		}
		digest := sha256.Sum256([]byte(r.Msg))
		if r.Claim {
			c.Claim(digest)
		}
		c.SetHeader("etag", hex.EncodeToString(digest[:]))
	}
	return true, records.Put(c.Tx(), r.ID, r.Msg)
}

func (k kind) get(c *app.Context, q recordQuery) (message, error) {
	records := k.records(c)
	msg, ok, err := records.Get(c.Tx(), q.ID)
	if err != nil {
		return message{}, err
	}
	if !ok {
		return message{}, synod.Errorf(404, synod.CodeResourceNotFound, "No such record: %d.", q.ID)
	}
	if k == public {
		if err := checkMatch(c, records, q.ID, true); err != nil || c.Response().Status == statusNotModified {
			return message{}, err
		}
		c.SetHeader("etag", etag(msg))
	}
	return message{msg}, nil
}

func (k kind) remove(c *app.Context, q recordQuery) (bool, error) {
	records := k.records(c)
	existed, err := records.Has(c.Tx(), q.ID)
	if err != nil {
		return false, err
	}
	if k == public {
		if err := checkMatch(c, records, q.ID, true); err != nil || c.Response().Status == statusNotModified {
			return false, err
		}
	}
	return existed, records.Delete(c.Tx(), q.ID)
}

func (k kind) clear(c *app.Context, _ app.None) (bool, error) {
	k.records(c).Clear(c.Tx())
	return true, nil
}

func (k kind) count(c *app.Context, _ app.None) (uint64, error) {
	return uint64(k.records(c).Len(c.Tx())), nil //nolint:gosec // a length
}

// isAdmin reads the data that governance has given a user.
func isAdmin(data json.RawMessage) bool {
	var d struct {
		IsAdmin any `json:"isAdmin"`
	}
	return json.Unmarshal(data, &d) == nil && d.IsAdmin == true
}
