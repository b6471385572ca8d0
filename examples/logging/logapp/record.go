package logapp

import (
	"errors"

	"synod/app"
)

// kind is one of the two halves of the application.
type kind string

const (
	private kind = "private"
	public  kind = "public"
)

type recordMap = app.Map[uint64, string]

// recordsOf has keys and values as JSON text, CCF's default for typed maps.
func recordsOf(name string) recordMap {
	return app.MapWith(name, app.JSONCodec[uint64](), app.JSONCodec[string]())
}

// records is the map of the half, and of the scope if the query names one.
func (k kind) records(c *app.Context) recordMap {
	name := "records"
	if k == public {
		name = "public:records"
	}
	if scope, ok := c.Query("scope"); ok {
		name += "-" + scope
	}
	return recordsOf(name)
}

// record is the body of a POST.
type record struct {
	ID    uint64 `json:"id"`
	Msg   string `json:"msg"`
	Claim bool   `json:"record_claim,omitempty"`
}

// Validate refuses an empty message.
func (r record) Validate() error {
	if r.Msg == "" {
		return errors.New("Cannot record an empty log message.") //nolint:staticcheck // shown to clients as CCF words it
	}
	return nil
}

// recordQuery says which record.
type recordQuery struct {
	ID uint64 `query:"id"`
}

// message is a record as a GET answers it.
type message struct {
	Msg string `json:"msg"`
}

// Names of the schemas in /api, CCF's.

// OpenAPIName is the schema's name.
func (record) OpenAPIName() string { return "LoggingRecord__In" }

// OpenAPIName is the schema's name.
func (message) OpenAPIName() string { return "LoggingGet__Out" }

// OpenAPIName is the schema's name.
func (stored) OpenAPIName() string { return "LoggingPut__Out" }

// OpenAPIName is the schema's name.
func (signatureAnswer) OpenAPIName() string { return "LoggingGetCoseSignature__Out" }

// OpenAPIName is the schema's name.
func (endorsementsAnswer) OpenAPIName() string { return "LoggingGetCoseEndorsements__Out" }

// OpenAPIName is the schema's name.
func (receiptAnswer) OpenAPIName() string { return "LoggingGetReceipt__Out" }

// OpenAPIName is the schema's name.
func (rangeEntry) OpenAPIName() string { return "LoggingGetHistoricalRange__Entry" }

// OpenAPIName is the schema's name.
func (rangeAnswer) OpenAPIName() string { return "LoggingGetHistoricalRange__Out" }
