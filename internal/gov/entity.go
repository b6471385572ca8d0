package gov

import (
	"encoding/json"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// memberJSON is a member as the API shows it.
type memberJSON struct {
	Certificate         string              `json:"certificate,omitempty"` // PEM
	MemberData          any                 `json:"memberData"`
	MemberID            synod.MemberID      `json:"memberId"`
	PublicEncryptionKey string              `json:"publicEncryptionKey,omitempty"` // PEM
	RecoveryRole        tables.RecoveryRole `json:"recoveryRole"`
	Status              tables.MemberStatus `json:"status"`
}

func describeMember(tx tables.Reader, id synod.MemberID, info tables.MemberInfo) (memberJSON, error) {
	data, err := canonical(info.MemberData)
	cert, _ := tx.Get(tables.MemberCerts, []byte(id))
	key, _ := tx.Get(tables.MemberEncryptionKeys, []byte(id))
	return memberJSON{
		Certificate: string(cert), MemberData: data, MemberID: id, PublicEncryptionKey: string(key),
		RecoveryRole: recoveryRole(tx, id, info), Status: info.Status,
	}, err
}

func (g *gov) listMembers(c *app.Context) error {
	list := []memberJSON{}
	err := each(c.Tx(), tables.Members, func(id string, info tables.MemberInfo) error {
		m, err := describeMember(c.Tx(), synod.MemberID(id), info)
		list = append(list, m)
		return err
	})
	if err != nil {
		return broken(err)
	}
	return c.JSON(values(list))
}

func (g *gov) getMember(c *app.Context) error {
	id, err := pathMember(c)
	if err != nil {
		return err
	}
	info, ok, err := tables.GetJSON[tables.MemberInfo](c.Tx(), tables.Members, []byte(id))
	if err != nil {
		return broken(err)
	}
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "Member %s does not exist.", id)
	}
	m, err := describeMember(c.Tx(), id, info)
	if err != nil {
		return broken(err)
	}
	return c.JSON(m)
}

// userJSON is a user as the API shows it. UserData is the whole row of
// users.info, {"user_data": …}, or null.
type userJSON struct {
	Certificate string       `json:"certificate"` // PEM
	UserData    any          `json:"userData"`
	UserID      synod.UserID `json:"userId"`
}

func describeUser(tx tables.Reader, id, cert []byte) (userJSON, error) {
	row, _ := tx.Get(tables.Users, id)
	data, err := canonical(json.RawMessage(row))
	return userJSON{Certificate: string(cert), UserData: data, UserID: synod.UserID(id)}, err
}

func (g *gov) listUsers(c *app.Context) error {
	list := []userJSON{}
	var failed error
	c.Tx().ForEach(tables.UserCerts, func(id, cert []byte) bool {
		var u userJSON
		u, failed = describeUser(c.Tx(), id, cert)
		list = append(list, u)
		return failed == nil
	})
	if failed != nil {
		return broken(failed)
	}
	return c.JSON(values(list))
}

func (g *gov) getUser(c *app.Context) error {
	id, err := pathID(c, "userId", "user")
	if err != nil {
		return err
	}
	cert, ok := c.Tx().Get(tables.UserCerts, []byte(id))
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "User %s does not exist.", synod.UserID(id))
	}
	u, err := describeUser(c.Tx(), []byte(id), cert)
	if err != nil {
		return broken(err)
	}
	return c.JSON(u)
}

// each visits a table whose visits may fail.
func each[T any](tx tables.Reader, table string, visit func(key string, v T) error) error {
	var failed error
	err := tables.EachJSON(tx, table, func(key string, v T) bool {
		failed = visit(key, v)
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}
