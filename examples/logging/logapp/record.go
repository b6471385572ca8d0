package logapp

import (
	"encoding/json"
	"strconv"

	"synod"
	"synod/app"
)

// kind is one of the two halves of the application.
type kind string

const (
	private kind = "private"
	public  kind = "public"
)

type recordMap = app.Map[uint64, string]

// records is the map of the half, and of the scope if the query names one.
// Keys and values are JSON text, CCF's default for typed maps.
func (k kind) records(c *app.Context) recordMap {
	name := "records"
	if k == public {
		name = "public:records"
	}
	if scope, ok := c.Query("scope"); ok {
		name += "-" + scope
	}
	return app.MapWith(name, app.JSONCodec[uint64](), app.JSONCodec[string]())
}

// record is the body of a POST.
type record struct {
	id    uint64
	msg   string
	claim bool
}

func readRecord(c *app.Context, whenEmpty string) (record, error) {
	var body struct {
		ID    *uint64 `json:"id"`
		Msg   *string `json:"msg"`
		Claim bool    `json:"record_claim"`
	}
	if err := c.Decode(&body); err != nil {
		return record{}, err
	}
	switch {
	case body.ID == nil:
		return record{}, synod.Errorf(400, synod.CodeInvalidInput, "The record has no 'id'.")
	case body.Msg == nil:
		return record{}, synod.Errorf(400, synod.CodeInvalidInput, "The record has no 'msg'.")
	case *body.Msg == "":
		return record{}, synod.Errorf(400, synod.CodeInvalidInput, "%s", whenEmpty)
	}
	return record{id: *body.ID, msg: *body.Msg, claim: body.Claim}, nil
}

// queryID reads the query parameter id.
func queryID(c *app.Context) (uint64, error) {
	text, ok := c.Query("id")
	if !ok {
		return 0, synod.Errorf(400, synod.CodeInvalidQueryParameterValue, "No value for key 'id'.")
	}
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, synod.Errorf(400, synod.CodeInvalidQueryParameterValue,
			"Unable to parse value '%s' in parameter 'id' as a number.", text)
	}
	return id, nil
}

func isAdmin(data json.RawMessage) bool {
	var d struct {
		IsAdmin any `json:"isAdmin"`
	}
	return json.Unmarshal(data, &d) == nil && d.IsAdmin == true
}
