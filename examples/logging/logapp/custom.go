package logapp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"synod"
	"synod/app"
)

func declareCallers(a *app.App) {
	app.Document[app.None, string](a.Get("/log/request_query", requestQuery))
	app.Document[app.None, string](a.Post("/log/cose_signed_content", coseContent, app.MemberCOSE("")))
	app.Document[app.None, string](a.Post("/multi_auth", multiAuth, app.AllOf(app.UserCert, app.JWT, app.UserCOSE),
		app.UserCert, app.MemberCert, app.AnyCert, app.JWT, app.UserCOSE, app.NoAuth))
	app.Document[app.None, json.RawMessage](a.Get("/custom_auth", customAuth, app.Custom("CustomAuthPolicy", byNameAndAge)))
}

func requestQuery(c *app.Context) error {
	c.Text(c.Request.DecodedQuery())
	return nil
}

func coseContent(c *app.Context) error {
	c.Text(string(c.Caller.COSE.Content))
	return nil
}

// person is who the custom policy accepts.
type person struct {
	Age         uint64 `json:"age"`
	Description string `json:"description"`
	Name        string `json:"name"`
}

const ageMin = 16

var leadingDigits = regexp.MustCompile(`^[0-9]+`)

// byNameAndAge believes two header fields: an example of the form of a policy,
// not of a good one. Texts are CCF's.
func byNameAndAge(c *app.Context) (any, error) {
	h := c.Request.Header
	if h.Has("x-custom-auth-explode") {
		return nil, synod.Errorf(500, synod.CodeInternalError, "%s", h.Get("x-custom-auth-explode"))
	}
	if !h.Has("x-custom-auth-name") {
		return nil, errors.New("Missing required header x-custom-auth-name") //nolint:staticcheck // shown to clients as CCF words it
	}
	name := h.Get("x-custom-auth-name")
	if name == "" {
		return nil, errors.New("Name must not be empty") //nolint:staticcheck // as above
	}
	if !h.Has("x-custom-auth-age") {
		return nil, errors.New("Missing required header x-custom-auth-age") //nolint:staticcheck // as above
	}
	text := h.Get("x-custom-auth-age")
	age, err := strconv.ParseUint(leadingDigits.FindString(text), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("Unable to parse age header as a number: %s", text) //nolint:staticcheck // as above
	}
	if age < ageMin {
		return nil, fmt.Errorf("Caller age must be at least %d", ageMin) //nolint:staticcheck // as above
	}
	return person{age, fmt.Sprintf("Your name is %s and you are %d", name, age), name}, nil
}

func customAuth(c *app.Context) error {
	b, err := app.MarshalJSON(c.Caller.Custom)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return err
	}
	c.Bytes("application/json", out.Bytes())
	return nil
}
