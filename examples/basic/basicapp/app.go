package basicapp

import (
	"synod"
	"synod/app"
)

var records = app.MapOf[string, []byte]("records")

// New declares the application's endpoints.
func New() *app.App {
	a := app.New("basic").Describe("CCF Basic App", "Lightweight application for benchmarking purposes", "0.0.1")
	a.Put("/records/{key}", put, app.UserCert).Forward(app.ForwardNever)
	a.Get("/records/{key}", get, app.UserCert).ReadOnly().Forward(app.ForwardNever)
	app.Document[map[string]string, app.None](a.Post("/records", putAll, app.UserCert))
	return a
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

// putAll writes every pair of a JSON object in one transaction.
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
