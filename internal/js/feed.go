package js

import (
	"encoding/json"
	"errors"
	"fmt"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// feedExtension makes an endpoint a change feed: a member of its openapi object,
// which CCF hands through unread, {"maps": ["public:records"]}.
const feedExtension = "x-synod-feed"

// feedMapsMax bounds the maps of one feed.
const feedMapsMax = 32

// feedOf are the maps that an endpoint is a feed of, nil if it is none.
func feedOf(e *app.Endpoint) ([]string, error) {
	var openapi map[string]json.RawMessage
	_ = json.Unmarshal(e.OpenAPI, &openapi) // it may be anything
	if openapi[feedExtension] == nil {
		return nil, nil
	}
	var feed struct {
		Maps []string `json:"maps"`
	}
	switch err := json.Unmarshal(openapi[feedExtension], &feed); {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", feedExtension, err)
	case len(feed.Maps) == 0 || len(feed.Maps) > feedMapsMax:
		return nil, fmt.Errorf("%s: name 1 to %d maps", feedExtension, feedMapsMax)
	case e.Method != "GET" || e.Mode == app.ReadWrite:
		return nil, errors.New(feedExtension + ": only a GET endpoint of mode readonly or historical can be a feed")
	}
	for _, name := range feed.Maps {
		if kind := tables.Access(name); !kind.Public && kind.Category != tables.Application {
			return nil, fmt.Errorf("%s: the map %s is not the application's to tell of", feedExtension, name)
		}
	}
	return feed.Maps, nil
}

// follow answers a request to a feed. The endpoint's function says first whether the
// caller may follow: what it answers other than 2xx is the answer.
func (s *scriptApp) follow(c *app.Context, e *scriptEndpoint, host AppHost) error {
	if c.Node() == nil {
		return synod.Errorf(500, synod.CodeInternalError, "Feed failed: %s", errNoHistory)
	}
	if err := s.runOn(c, e, host, nil); err != nil {
		return err
	}
	resp := c.Response()
	if resp.Status != 0 && (resp.Status < 200 || resp.Status > 299) {
		return nil
	}
	resp.Body = nil
	return app.ServeChanges(c, app.Feed{Maps: e.feed})
}
