package apptest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"synod/app"
	"synod/internal/identity"
	"synod/internal/tables"
)

// Option says what a service has besides the application.
type Option func(*setup)

type setup struct {
	now          time.Time
	people       []person
	issuers      []string
	constitution string
	issuer       string
	subject      string
}

type person struct {
	name   string
	data   any
	member bool
}

// WithUser adds a user, who has a key and a certificate of a year from the
// service's start. data becomes user_data; nil is none.
func WithUser(name string, data any) Option {
	return func(s *setup) { s.people = append(s.people, person{name: name, data: data}) }
}

// WithMember adds an active member; data becomes member_data.
func WithMember(name string, data any) Option {
	return func(s *setup) { s.people = append(s.people, person{name: name, data: data, member: true}) }
}

// WithIssuer adds an issuer of JSON web tokens; see Client.WithToken.
func WithIssuer(url string) Option {
	return func(s *setup) { s.issuers = append(s.issuers, url) }
}

// WithClock sets the time at which the service starts; without it, it is the
// machine's. The clock stands still until Service.Advance.
func WithClock(start time.Time) Option { return func(s *setup) { s.now = start } }

// WithConstitution sets the text of the constitution, which is empty else.
func WithConstitution(text string) Option { return func(s *setup) { s.constitution = text } }

// WithSignatures sets issuer and subject of the service's signatures.
func WithSignatures(issuer, subject string) Option {
	return func(s *setup) { s.issuer, s.subject = issuer, subject }
}

// identityOf is what somebody shows.
type identityOf struct {
	id     string
	key    *ecdsa.PrivateKey
	cert   []byte // DER
	member bool
}

// create writes the tables that the options ask for.
func (s *Service) create(tx app.Tx, o *setup) error {
	if err := tables.PutJSON(tx, tables.Constitution, tables.UnitKey(), o.constitution); err != nil {
		return err
	}
	node := tables.NodeInfo{Status: tables.NodeTrusted, QuoteInfo: tables.QuoteInfo{Format: "Insecure_Virtual"}}
	if err := tables.PutJSON(tx, tables.Nodes, []byte(s.nodeID), node); err != nil {
		return err
	}
	for _, p := range o.people {
		if err := s.addPerson(tx, p, o.now); err != nil {
			return fmt.Errorf("add %s: %w", p.name, err)
		}
	}
	for _, url := range o.issuers {
		if err := s.addIssuer(tx, url); err != nil {
			return fmt.Errorf("add issuer %s: %w", url, err)
		}
	}
	return nil
}

func (s *Service) addPerson(tx app.Tx, p person, now time.Time) error {
	if s.people[p.name] != nil {
		return fmt.Errorf("the name is taken")
	}
	who, err := identity.NewUser(p.name, identity.Secp256r1, now)
	if err != nil {
		return err
	}
	data := json.RawMessage(nil)
	if p.data != nil {
		if data, err = json.Marshal(p.data); err != nil {
			return err
		}
	}
	known := &identityOf{key: who.Key, cert: who.CertDER, member: p.member}
	if p.member {
		known.id = string(identity.MemberIDOf(who.CertDER))
		tx.Put(tables.MemberCerts, []byte(known.id), []byte(who.CertPEM))
		err = tables.PutJSON(tx, tables.Members, []byte(known.id), tables.MemberInfo{MemberData: data, Status: tables.MemberActive})
	} else {
		known.id = string(identity.UserIDOf(who.CertDER))
		tx.Put(tables.UserCerts, []byte(known.id), []byte(who.CertPEM))
		if data != nil {
			err = tables.PutJSON(tx, tables.Users, []byte(known.id), tables.UserInfo{UserData: data})
		}
	}
	s.people[p.name] = known
	return err
}

func (s *Service) addIssuer(tx app.Tx, url string) error {
	key, err := identity.NewKey(identity.Secp256r1)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	s.issuers[url] = key
	tx.Put(tables.JWTIssuers, []byte(url), []byte("{}"))
	return tables.PutJSON(tx, tables.JWTSigningKeys, []byte(keyID(url)), []tables.JWTKey{{Issuer: url, PublicKey: der}})
}

func keyID(url string) string { return "key of " + url }

// token makes a JSON web token (RFC 7519) signed with ES256.
func (s *Service) token(url string, claims map[string]any) (string, error) {
	key := s.issuers[url]
	if key == nil {
		return "", fmt.Errorf("no issuer %s: add apptest.WithIssuer", url)
	}
	all := map[string]any{"iss": url, "exp": s.Now().Add(time.Hour).Unix()}
	for name, v := range claims {
		all[name] = v
	}
	payload, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	header, err := json.Marshal(map[string]string{"alg": "ES256", "kid": keyID(url), "typ": "JWT"})
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64(header) + "." + b64(payload)
	digest := sha256.Sum256([]byte(text))
	r, v, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return "", err
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	v.FillBytes(sig[32:])
	return text + "." + b64(sig), nil
}
