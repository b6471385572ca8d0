package node_test

import (
	"encoding/json"
	"net/http"

	"synod"
	"synod/client"
	"synod/receipt"
)

// asOf asks the logging application about a transaction.
func (s *service) asOf(id, path string) *client.Response {
	s.t.Helper()
	resp, err := s.dial(s.user).Do(s.t.Context(), client.Request{
		Path: path, Header: http.Header{"X-Ms-Ccf-Transaction-Id": {id}},
	})
	if err != nil {
		s.t.Errorf("%s of %s: %v", path, id, err)
		return &client.Response{}
	}
	return resp
}

// wantPast wants transactions of all identities that the service has had to be
// provable to those who trust the present one, by both kinds of receipts.
func (s *service) wantPast(ids ...string) {
	s.t.Helper()
	for _, text := range ids {
		id, err := synod.ParseTxID(text)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := s.dial(s.user).Receipt(s.t.Context(), id, receipt.Options{}); err != nil {
			s.t.Errorf("receipt: %v", err)
		}
		r, err := receipt.ParseCOSE(s.asOf(text, "/app/log/public/cose_receipt").Body)
		if err != nil {
			s.t.Errorf("COSE receipt of %s: %v", text, err)
			continue
		}
		var endorsements struct{ Endorsements [][]byte }
		if id.View < s.Replica().Committed().View {
			if err := json.Unmarshal(s.asOf(text, "/app/log/public/cose_endorsements").Body, &endorsements); err != nil {
				s.t.Errorf("endorsements of %s: %v", text, err)
			}
		}
		if _, err := r.Verify(receipt.Options{ServiceCert: []byte(s.ServiceCertificate()), TxID: id, Endorsements: endorsements.Endorsements}); err != nil {
			s.t.Errorf("COSE receipt of %s with %d endorsements: %v", text, len(endorsements.Endorsements), err)
		}
	}
}
