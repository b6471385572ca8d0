package programmabilityapp

import (
	"encoding/json"
	"errors"

	"synod/app"
)

// isAdmin reads the data that governance has given a user.
func isAdmin(data json.RawMessage) bool {
	var d struct {
		IsAdmin any `json:"isAdmin"`
	}
	return json.Unmarshal(data, &d) == nil && d.IsAdmin == true
}

// users is governance's table of what is known of users.
var users = app.MapWith("public:ccf.gov.users.info", app.StringCodec(), app.JSONCodec[struct {
	UserData struct {
		Roles []string `json:"roles"`
	} `json:"user_data"`
}]())

// hasRole is my_object.hasRole(userID, action) of scripts: whether one of the
// roles in a user's data permits an action. Actions of a role are in
// public:programmability.roles.<role>.
func hasRole(c *app.Context, arguments []json.RawMessage) (any, error) {
	var user, action string
	if json.Unmarshal(arguments[0], &user) != nil {
		return nil, errors.New("user_id argument is not a string")
	}
	if json.Unmarshal(arguments[1], &action) != nil {
		return nil, errors.New("action argument is not a string")
	}
	info, ok, err := users.Get(c.Tx(), user)
	if err != nil || !ok {
		return false, err
	}
	for _, role := range info.UserData.Roles {
		permitted, err := app.SetWith("public:programmability.roles."+role, app.JSONCodec[string]()).Has(c.Tx(), action)
		if err != nil || permitted {
			return permitted, err
		}
	}
	return false, nil
}
