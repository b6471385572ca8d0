package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync/atomic"
)

// Cache spares a session the work of parsing, hashing and verifying the same
// bytes again: the client's certificate, its row of data and its last token.
// The zero value is empty and ready. It may be used from several goroutines
// and holds one entry of each kind.
type Cache struct {
	cert  atomic.Pointer[certificate]
	row   atomic.Pointer[dataRow]
	token atomic.Pointer[verifiedToken]
}

// certificate is what the cert policies need of a client's certificate.
type certificate struct {
	der       []byte
	id        string // hex SHA-256 of der
	key       []byte // id, as a key of the tables
	notBefore int64  // seconds since the epoch, first valid
	notAfter  int64  // seconds since the epoch, last valid
}

// certificate parses der unless the session's last one was the same.
func (c *Cache) certificate(der []byte) (*certificate, error) {
	if e := c.cert.Load(); e != nil && bytes.Equal(e.der, der) {
		return e, nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	id := hex.EncodeToString(sum[:])
	e := &certificate{
		der: bytes.Clone(der), id: id, key: []byte(id),
		notBefore: cert.NotBefore.Unix(), notAfter: cert.NotAfter.Unix(),
	}
	c.cert.Store(e)
	return e, nil
}

// dataRow is a row of users.info or members.info and the data in it.
type dataRow struct {
	field string
	row   []byte
	data  json.RawMessage
}

// data returns a field of a JSON row, nil if it is absent or null.
func (c *Cache) data(table, field string, row []byte) (json.RawMessage, error) {
	if e := c.row.Load(); e != nil && e.field == field && bytes.Equal(e.row, row) {
		return e.data, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(row, &fields); err != nil {
		return nil, fmt.Errorf("table %s: %w", table, err)
	}
	e := &dataRow{field: field, row: row, data: fields[field]}
	if string(e.data) == "null" {
		e.data = nil
	}
	c.row.Store(e)
	return e.data, nil
}
