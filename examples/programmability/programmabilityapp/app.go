package programmabilityapp

import (
	"strings"

	"synod"
	"synod/app"
	"synod/jsapp"
)

const privateRecords = "programmability.records"

var records = app.MapOf[string, []byte](privateRecords)

// New declares the application's endpoints.
func New() *app.App {
	installed, err := jsapp.New(jsapp.Config{
		Prefix: "public:custom_endpoints", Restrict: restrict,
		Globals: []jsapp.Global{{
			Name:      "my_object",
			Constants: map[string]any{"my_constant": "Hello world"},
			Functions: map[string]jsapp.Function{"hasRole": {Arguments: 2, Call: hasRole}},
		}},
	})
	if err != nil {
		panic(err) // of constants of this package
	}
	a := app.New("programmability").Describe("CCF Programmability App",
		"Lightweight application demonstrating app-space JS programmability", "0.0.1").Resolve(installed.Resolver()).OnStart(installed.LogTo)
	a.Put("/records/{key}", put, app.UserCert).Forward(app.ForwardNever)
	a.Get("/records/{key}", get, app.UserCert).ReadOnly().Forward(app.ForwardNever)
	app.Document[map[string]string, app.None](a.Post("/records", putAll, app.UserCert))
	declareInstalled(a, installed)
	return a
}

// restrict keeps the tables of the endpoints in Go from scripts.
func restrict(table string) (read, write bool, why string) {
	switch {
	case table == privateRecords:
		return true, false, "The " + privateRecords + " map is managed by native endpoints, so is read-only in JS."
	case strings.HasPrefix(strings.TrimPrefix(table, "public:"), "programmability."):
		return false, false, "The 'programmability.' prefix is reserved by the native endpoints for future use."
	}
	return true, true, ""
}

func put(c *app.Context) error {
	c.Status(204)
	return records.Put(c.Tx(), c.Path("key"), c.Request.Body)
}

func get(c *app.Context) error {
	value, ok, err := records.Get(c.Tx(), c.Path("key"))
	if err != nil {
		return err
	}
	if !ok {
		return synod.Errorf(404, synod.CodeInvalidResourceName, "No such key")
	}
	c.Bytes("text/plain", value)
	return nil
}

func putAll(c *app.Context) error {
	var all map[string]string
	if err := c.Decode(&all); err != nil {
		return err
	}
	for key, value := range all {
		if err := records.Put(c.Tx(), key, []byte(value)); err != nil {
			return err
		}
	}
	c.Status(204)
	return nil
}
