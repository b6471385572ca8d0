package programmabilityapp

import (
	"bytes"
	"encoding/json"
	"fmt"

	"synod"
	"synod/app"
	"synod/jsapp"
)

// headers are the protected headers of this application's signed messages.
var headers = app.COSEHeaders{MsgType: "app.msg.type", CreatedAt: "app.msg.created_at"}

// installer are the endpoints by which admins program others.
type installer struct{ *jsapp.Registry }

func declareInstalled(a *app.App, r *jsapp.Registry) {
	i := installer{r}
	app.Document[jsapp.Bundle, app.None](a.Put("/custom_endpoints", i.install, app.TypedUserCOSE("custom_endpoints", headers), app.UserCert))
	app.Document[app.None, jsapp.Bundle](a.Get("/custom_endpoints", i.list, app.NoAuth))
	app.Typed(a, "GET", "/custom_endpoints/modules", i.module, app.NoAuth)
	a.Patch("/custom_endpoints/runtime_options", i.changeOptions, app.TypedUserCOSE("runtime_options", headers), app.UserCert)
	app.Document[app.None, jsapp.Options](a.Get("/custom_endpoints/runtime_options", i.options, app.NoAuth))
}

func (i installer) install(c *app.Context) error {
	var bundle jsapp.Bundle
	if err := i.take(c, &bundle); err != nil {
		return err
	}
	if err := i.Install(c.Context(), c.Tx(), &bundle); err != nil {
		return err
	}
	c.Status(204)
	return nil
}

// take reads what an admin sent, as a new signed action or not signed, and
// leaves it for auditors.
func (i installer) take(c *app.Context, v any) error {
	if !isAdmin(c.Caller.Data) {
		return synod.Errorf(403, synod.CodeAuthorizationFailed, "Only admins may access this endpoint.")
	}
	format, content := jsapp.JSON, c.Request.Body
	if c.Caller.COSE != nil {
		format, content = jsapp.COSE, c.Caller.COSE.Content
	}
	if err := decode(content, v); err != nil {
		return err
	}
	action := c.Request.Method + " " + c.Request.Path
	if err := i.RecordAction(c.Tx(), format, c.Caller.ID, action, c.Request.Body); err != nil {
		return err
	}
	if c.Caller.COSE == nil {
		return nil
	}
	if !c.Caller.COSE.HasCreated {
		return synod.Errorf(400, synod.CodeMissingRequiredHeader, "Missing %s protected header", headers.CreatedAt)
	}
	return i.CheckNotReplayed(c.Tx(), c.Caller.COSE.CreatedAt, c.Request.Body)
}

func decode(content []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(content))
	if err := dec.Decode(v); err != nil || dec.More() {
		return synod.Errorf(400, synod.CodeInvalidInput, "The content is not the JSON that this endpoint takes: %v", err)
	}
	return nil
}

func (i installer) list(c *app.Context) error {
	bundle, err := i.Bundle(c.Tx())
	if err != nil {
		return err
	}
	return c.JSON(bundle)
}

type moduleQuery struct {
	Name string `query:"module_name"`
}

func (i installer) module(c *app.Context, q moduleQuery) (app.None, error) {
	source, ok := i.Module(c.Tx(), q.Name)
	if !ok {
		return app.None{}, synod.Errorf(500, synod.CodeInternalError, "Failed to get module: NotFound")
	}
	c.Bytes("text/javascript", []byte(source))
	return app.None{}, nil
}

func (i installer) options(c *app.Context) error {
	options, err := i.Options(c.Tx())
	if err != nil {
		return err
	}
	return c.JSON(options)
}

// changeOptions merges what came into the options: null resets one to its
// default (RFC 7396).
func (i installer) changeOptions(c *app.Context) error {
	var patch map[string]json.RawMessage
	if err := i.take(c, &patch); err != nil {
		return err
	}
	options, err := i.Options(c.Tx())
	if err != nil {
		return err
	}
	now, err := json.Marshal(options)
	if err != nil {
		return err
	}
	var merged map[string]json.RawMessage
	if err := json.Unmarshal(now, &merged); err != nil {
		return err
	}
	for name, value := range patch {
		if _, known := merged[name]; !known {
			return synod.Errorf(400, synod.CodeInvalidInput, "There is no runtime option %q.", name)
		}
		if string(value) == "null" {
			delete(merged, name)
		} else {
			merged[name] = value
		}
	}
	text, err := json.Marshal(merged)
	if err != nil {
		return err
	}
	var changed jsapp.Options
	if err := json.Unmarshal(text, &changed); err != nil {
		return synod.Errorf(400, synod.CodeInvalidInput, "A runtime option has the wrong type: %s", err)
	}
	if err := i.SetOptions(c.Tx(), changed); err != nil {
		return fmt.Errorf("set options: %w", err)
	}
	return c.JSON(changed)
}
