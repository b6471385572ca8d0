package apptest_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"synod"
	"synod/app"
	"synod/app/apptest"
)

// TestNotes runs the application of the examples.
func TestNotes(t *testing.T) {
	svc := apptest.New(t, notes(), apptest.WithUser("alice", nil), apptest.WithUser("bob", nil))
	done := svc.As("alice").Put("/note", map[string]string{"text": "hello"}).Expect(204)
	if got := done.Receipt().TxID; got != done.TxID() {
		t.Errorf("the receipt is of %s", got)
	}
	if svc.Status(done.TxID()) != synod.TxCommitted || svc.Committed().SeqNo < done.TxID().SeqNo {
		t.Error("proved and not committed")
	}
	svc.As("alice").Get("/app/note").Expect(200).ExpectBody(`{"text":"hello"}`)
	svc.As("bob").Get("/note").ExpectError(404, "ResourceNotFound")
	svc.Anybody().Get("/note").ExpectError(401, "InvalidAuthenticationInfo")
	svc.Anybody().Get("/app/receipt?transaction_id=" + done.TxID().String()).Expect(200)
}

// TestStartsFast: a scenario may start a service of its own. What ten starts take
// of the processor does not depend on who else runs on the machine; of the time on
// the clock, which a start that waits for something would take, the fastest counts.
func TestStartsFast(t *testing.T) {
	const services, most = 10, 100 * time.Millisecond
	fastest := time.Hour
	start := func() {
		began := time.Now()
		apptest.New(t, notes())
		fastest = min(fastest, time.Since(began))
	}
	began := processorTime(t)
	for range services {
		start()
	}
	if each := (processorTime(t) - began) / services; each > most {
		t.Errorf("a service takes %s of the processor to start", each)
	}
	for tries := 0; fastest > most && tries < 10*services; tries++ {
		start()
	}
	if fastest > most {
		t.Errorf("the fastest start of many takes %s", fastest)
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// counter adds up, counting in attempts how often its handler runs.
func counter(attempts *int) *app.App {
	n := app.ValueOf[uint64]("n")
	a := app.New("counter")
	app.Typed(a, "POST", "/add", func(c *app.Context, _ app.None) (uint64, error) {
		*attempts++
		v, _, err := n.Get(c.Tx())
		if err != nil {
			return 0, err
		}
		return v + 1, n.Put(c.Tx(), v+1)
	})
	return a
}

func TestConflicts(t *testing.T) {
	attempts := 0
	svc := apptest.New(t, counter(&attempts))
	n := app.ValueOf[uint64]("n")
	add := func(tx app.Tx) {
		v, _, err := n.Get(tx)
		if err == nil {
			err = n.Put(tx, v+1)
		}
		if err != nil {
			t.Error(err)
		}
	}
	svc.Interrupt(2, add)
	svc.Anybody().Post("/add", nil).Expect(200).ExpectBody("3")
	if attempts != 3 {
		t.Errorf("%d attempts, want 3", attempts)
	}
	svc.Interrupt(1000, add)
	svc.Anybody().Post("/add", nil).ExpectError(503, "TransactionCommitAttemptsExceedLimit").ExpectHeader("retry-after", "3")
	svc.Interrupt(0, nil)
	id := svc.Write(add)
	if !strings.HasPrefix(id.String(), "2.") {
		t.Errorf("written as %s", id)
	}
	svc.Anybody().Post("/add", nil).Expect(200).ExpectBody("35")
}

// whoami answers with the policy and the ID that it found.
func whoami(policies ...app.Policy) *app.App {
	a := app.New("who")
	a.Post("/who", func(c *app.Context) error {
		id := c.Caller
		text := id.Policy + " " + id.ID
		if id.COSE != nil {
			text += fmt.Sprintf(" %s %s %t", id.COSE.MsgType, id.COSE.Content, id.COSE.HasCreated)
		}
		c.Text(text)
		return nil
	}, policies...)
	return a
}

func TestCallers(t *testing.T) {
	const issuer = "https://issuer.example"
	headers := app.COSEHeaders{MsgType: "app.msg.type", CreatedAt: "app.msg.created_at"}
	svc := apptest.New(t, whoami(app.MemberCert, app.JWT, app.TypedUserCOSE("order", headers), app.MemberCOSE("vote")),
		apptest.WithUser("alice", nil), apptest.WithMember("mo", nil), apptest.WithIssuer(issuer))
	svc.As("mo").Post("/who", nil).ExpectBody("member_cert " + svc.ID("mo"))
	svc.Anybody().WithToken(issuer, nil).Post("/who", nil).ExpectBody("jwt ")
	svc.As("alice").Signed("order", headers).Post("/who", "x").ExpectBody("typed_user_cose_sign1 " + svc.ID("alice") + " order x true")
	svc.As("mo").Signed("vote", app.COSEHeaders{}).Post("/who", "x").ExpectBody("member_cose_sign1 " + svc.ID("mo") + " vote x true")

	typed := apptest.New(t, whoami(app.TypedUserCOSE("order", headers)), apptest.WithUser("alice", nil)).As("alice")
	for found, client := range map[string]*apptest.Client{
		"other": typed.Signed("other", headers),
		"":      typed.Signed("order", app.COSEHeaders{MsgType: "ccf.msg.type"}),
	} {
		refused := client.Post("/who", "x").ExpectError(401, "InvalidAuthenticationInfo")
		refused.ExpectHeader("www-authenticate", `COSE-SIGN1 realm="Signed request access"`)
		if got, want := refused.Error().Details[0].Message, "Unexpected message type: "+found+", expected: order"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestClock(t *testing.T) {
	const issuer = "https://issuer.example"
	svc := apptest.New(t, whoami(app.JWT), apptest.WithIssuer(issuer), apptest.WithClock(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)))
	client := svc.Anybody().WithToken(issuer, nil)
	client.Post("/who", nil).Expect(200)
	svc.Advance(2 * time.Hour)
	refused := client.Post("/who", nil).ExpectError(401, "InvalidAuthenticationInfo").Error()
	if !strings.Contains(refused.Details[0].Message, "is after token's Expiration Time") {
		t.Error(refused.Details)
	}
}
