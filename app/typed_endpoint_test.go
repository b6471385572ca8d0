package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/app"
	"synod/app/apptest"
)

type line struct {
	Item  string `json:"item"`
	Price *int64 `json:"price"`
}

type chain struct {
	Next *chain `json:"next"`
}

type purchase struct {
	Shop  string  `path:"shop"`
	Limit uint32  `query:"limit"`
	Dry   bool    `query:"dry,optional"`
	Lines []line  `json:"lines"`
	Note  string  `json:"note,omitempty"`
	Rate  float64 `json:"rate,omitzero"`
}

func (p purchase) Validate() error {
	switch p.Note {
	case "bad":
		return errors.New("bad note")
	case "teapot":
		return synod.Errorf(418, "Teapot", "no coffee")
	}
	return nil
}

func shop() *app.App {
	a := app.New("shop")
	app.Typed(a, "POST", "/shops/{shop}", func(_ *app.Context, in purchase) (string, error) {
		return fmt.Sprintf("%s %d %t %d %s", in.Shop, in.Limit, in.Dry, len(in.Lines), in.Note), nil
	})
	app.Typed(a, "GET", "/none", func(c *app.Context, _ app.None) (app.None, error) {
		c.SetHeader("x-seen", "yes")
		return app.None{}, nil
	})
	app.Typed(a, "GET", "/own", func(c *app.Context, _ app.None) (line, error) {
		c.Bytes("text/css", []byte("p{}"))
		return line{}, nil
	})
	app.Typed(a, "POST", "/chain", func(*app.Context, chain) (bool, error) { return true, nil })
	app.Typed(a, "POST", "/list", func(_ *app.Context, in []line) (int, error) { return len(in), nil })
	return a
}

func TestTyped(t *testing.T) {
	client := apptest.New(t, shop()).Anybody()
	client.Post("/shops/a%20b?limit=7&dry=true", `{"lines":[{"item":"x"},{"item":"y","price":1}],"note":"n"}`).
		Expect(200).ExpectBody("a b 7 true 2 n").ExpectHeader("content-type", "text/plain")
	client.Post("/shops/s?limit=7", `{"lines":null,"Dry":true,"Limit":9}`).Expect(200).ExpectBody("s 7 false 0 ")
	for _, tt := range []struct{ target, body, code, text string }{
		{"?limit=1", `{}`, "InvalidInput", "Missing required field 'lines' in the request body."},
		{"?limit=1", ``, "InvalidInput", "Missing required field 'lines' in the request body."},
		{"?limit=1", `{"lines":[{"price":1}]}`, "InvalidInput", "Missing required field 'item' in the request body."},
		{"?limit=1", `{"lines":[],"note":"bad"}`, "InvalidInput", "bad note"},
		{"", `{"lines":[]}`, "InvalidQueryParameterValue", "Missing query parameter 'limit'"},
		{"?limit=4294967296", `{"lines":[]}`, "InvalidQueryParameterValue", "Unable to parse value '4294967296' in parameter 'limit'"},
		{"?limit=1&dry=yes", `{"lines":[]}`, "InvalidQueryParameterValue", "Unable to parse value 'yes' as bool in parameter 'dry'"},
	} {
		if got := client.Post("/shops/s"+tt.target, tt.body).ExpectError(400, tt.code).Error(); got.Message != tt.text {
			t.Errorf("%s %s: %s", tt.target, tt.body, got.Message)
		}
	}
	client.Post("/shops/s?limit=1", `{"lines":[],"note":"teapot"}`).ExpectError(418, "Teapot")
	client.Get("/none").Expect(204).ExpectBody("").ExpectHeader("x-seen", "yes")
	client.Get("/own").Expect(200).ExpectBody("p{}").ExpectHeader("content-type", "text/css")
	client.Post("/list", `[{"item":"x"}]`).Expect(200).ExpectBody("1")
	client.Post("/list", `[{}]`).ExpectError(400, "InvalidInput")
	nested := func(levels int) string {
		return strings.Repeat(`{"next":`, levels) + "null" + strings.Repeat("}", levels)
	}
	client.Post("/chain", nested(20)).Expect(200)
	client.Post("/chain", nested(40)).ExpectError(400, "InvalidInput")
}

func TestTypedRefusesInputsThatCannotBe(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a list in the query was accepted")
		}
	}()
	type bad struct {
		List []string `query:"list"`
	}
	app.Typed(app.New("bad"), "GET", "/", func(*app.Context, bad) (app.None, error) { return app.None{}, nil })
}

type node struct {
	ID       synod.TxID        `json:"id"`
	Children []node            `json:"children,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Raw      json.RawMessage   `json:"raw,omitempty"`
	Bytes    []byte            `json:"bytes,omitempty"`
	Hidden   int               `json:"-"`
}

func TestSchemas(t *testing.T) {
	s := app.NewSchemas()
	e := app.Document[node, app.None](app.New("x").Post("/x", nil)).Summary("sums up", "")
	op := s.Operation(e)
	if op["summary"] != "sums up" || op["description"] != nil {
		t.Errorf("operation %v", op)
	}
	b, err := json.Marshal(s.All()["node"])
	if err != nil {
		t.Fatal(err)
	}
	ref := func(name string) string { return `{"$ref":"#/components/schemas/` + name + `"}` }
	want := `{"properties":{"bytes":` + ref("base64string") + `,"children":` + ref("node_array") + `,"id":` + ref("TransactionId") +
		`,"labels":` + ref("string_to_string") + `,"raw":` + ref("json") + `},"required":["id"],"type":"object"}`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Error(diff)
	}
}

func TestSingles(t *testing.T) {
	tx := mapTx{}
	v, set := app.ValueOf[string]("v"), app.SetOf[string]("s")
	if _, ok, err := v.Get(tx); ok || err != nil {
		t.Error("a value that nobody set")
	}
	for _, err := range []error{v.Put(tx, "x"), set.Add(tx, "a"), set.Add(tx, "b"), set.Remove(tx, "a"), set.Add(tx, "c")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	zeros := string(make([]byte, 8))
	if diff := cmp.Diff(mapTx{"v": {zeros: []byte("x")}, "s": {"b": []byte(zeros), "c": []byte(zeros)}}, tx); diff != "" {
		t.Error(diff)
	}
	var seen []string
	if err := set.ForEach(tx, func(k string) bool { seen = append(seen, k); return true }); err != nil || cmp.Diff([]string{"b", "c"}, seen) != "" {
		t.Errorf("%v, %v", seen, err)
	}
	if has, err := set.Has(tx, "b"); !has || err != nil || set.Len(tx) != 2 {
		t.Error("b is not there")
	}
	set.Clear(tx)
	v.Clear(tx)
	if set.Len(tx) != 0 || len(tx["v"]) != 0 {
		t.Error("Clear left something")
	}
}

// FuzzTyped: whatever the request, a typed endpoint answers or refuses it with
// a status of 4xx.
func FuzzTyped(f *testing.F) {
	f.Add("/a", "limit=1&dry=true", []byte(`{"lines":[{"item":"x"}]}`))
	f.Add("/%zz", "limit=%", []byte(`{"lines":null}`))
	e := shop().Endpoints()[0]
	f.Fuzz(func(t *testing.T, shop, query string, body []byte) {
		req := &app.Request{Method: "POST", Query: query, Body: body}
		err := e.Handler(app.NewContext(t.Context(), req, mapTx{}, e, []app.Param{{Name: "shop", Value: shop}}))
		var refused *synod.Error
		if err != nil && (!errors.As(err, &refused) || refused.Status < 400 || refused.Status > 499) {
			t.Errorf("%v", err)
		}
	})
}
