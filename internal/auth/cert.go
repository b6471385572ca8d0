package auth

import (
	"synod/app"
	"synod/internal/tables"
)

// userCert accepts a certificate that is in its dates and belongs to a user
// (CCF: src/endpoints/authentication/cert_auth.cpp).
func (a *attempt) userCert() (*app.Caller, *refusal, error) {
	cert, no := a.clientCert("No caller user certificate")
	if no == nil {
		no = a.inDates(cert)
	}
	if no != nil {
		return nil, no, nil
	}
	if !a.tx.Has(tables.UserCerts, cert.key) {
		return nil, refuse("Could not find matching user certificate"), nil
	}
	return a.identified("user_cert", cert.id, cert.der, userData)
}

// memberCert accepts a member's certificate, whatever its dates.
func (a *attempt) memberCert() (*app.Caller, *refusal, error) {
	cert, no := a.clientCert("No caller member certificate")
	if no != nil {
		return nil, no, nil
	}
	if !a.tx.Has(tables.MemberCerts, cert.key) {
		return nil, refuse("Could not find matching member certificate"), nil
	}
	return a.identified("member_cert", cert.id, cert.der, memberData)
}

// anyCert accepts whatever certificate is in its dates.
func (a *attempt) anyCert() (*app.Caller, *refusal, error) {
	cert, no := a.clientCert("No caller certificate")
	if no == nil {
		no = a.inDates(cert)
	}
	if no != nil {
		return nil, no, nil
	}
	return &app.Caller{Policy: "any_cert", Cert: cert.der}, nil, nil
}

func (a *attempt) clientCert(missing string) (*certificate, *refusal) {
	der := a.c.Request.ClientCert
	if len(der) == 0 {
		return nil, refuse("%s", missing)
	}
	cert, err := a.cache.certificate(der)
	if err != nil {
		return nil, refuse("Caller certificate is malformed: %s", err)
	}
	return cert, nil
}

// inDates compares whole seconds without leeway.
func (a *attempt) inDates(cert *certificate) *refusal {
	switch {
	case a.now < cert.notBefore:
		return refuse("Current time %d is before certificate's Not Before validity period %d", a.now, cert.notBefore)
	case a.now > cert.notAfter:
		return refuse("Current time %d is after certificate's Not After validity period %d", a.now, cert.notAfter)
	default:
		return nil
	}
}

// dataSource is where the data about a kind of caller is.
type dataSource struct{ table, field string }

var (
	userData   = dataSource{tables.Users, "user_data"}
	memberData = dataSource{tables.Members, "member_data"}
)

// identified completes a user or member with the data that governance has
// given it.
func (a *attempt) identified(policy, id string, der []byte, src dataSource) (*app.Caller, *refusal, error) {
	caller := &app.Caller{Policy: policy, ID: id, Cert: der}
	if row, ok := a.tx.Get(src.table, []byte(id)); ok {
		data, err := a.cache.data(src.table, src.field, row)
		if err != nil {
			return nil, nil, err
		}
		caller.Data = data
	}
	return caller, nil, nil
}
