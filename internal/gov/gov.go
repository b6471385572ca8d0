package gov

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"synod"
	"synod/app"
	"synod/internal/js"
)

// Node is what governance asks of the node that it runs on. It is used from
// several goroutines.
type Node interface {
	// RootAt is the Merkle root over the ledger up to seqno.
	RootAt(seqno synod.SeqNo) ([32]byte, error)
	// Committed is the last transaction that the service has committed.
	Committed() synod.TxID
	// Status says what this node knows of a transaction.
	Status(synod.TxID) synod.TxStatus
	// Effects are what apply may do in tx. Those for JWT signing keys are
	// ignored: this package has its own.
	Effects(tx app.Tx) *js.Effects
	// OnMemberActive is called when a member that takes part in recovery has
	// become active in tx: an open service gives it a share.
	OnMemberActive(tx app.Tx, id synod.MemberID) error
	// SubmitShare keeps a recovery share in tx, and says how many there are then
	// and whether it is the whole key.
	SubmitShare(tx app.Tx, id synod.MemberID, share []byte) (submitted int, full bool, err error)
	// Recover begins the recovery of private data with the shares in tx.
	Recover(tx app.Tx) error
	// ReadsPrivate says whether private data is being recovered on this node.
	ReadsPrivate() bool
}

// viewer is a Node that also knows the view of a sequence number.
type viewer interface {
	ViewOf(synod.SeqNo) (synod.View, bool)
}

// Config is what New needs; every field is required.
type Config struct {
	Engine *js.Engine
	Node   Node
	Log    *slog.Logger
}

// gov is the state of the handlers: none but its configuration.
type gov struct {
	engine *js.Engine
	node   Node
	log    *slog.Logger
	app    *app.App
}

// handler answers a request whose api-version has been accepted.
type handler func(c *app.Context) error

// New makes the /gov application: every endpoint of both api versions
// (CCF: src/node/gov/handlers). The endpoints are hidden from /api, as in CCF.
func New(cfg Config) *app.App {
	g := &gov{engine: cfg.Engine, node: cfg.Node, log: cfg.Log, app: app.New("gov")}
	g.app.Describe("CCF Governance API",
		"This API is used to submit and query proposals which affect CCF's public governance tables.", "4.9.0")

	member, active := app.MemberCOSE, app.ActiveMemberCOSE
	const digests = "/members/state-digests/{memberId}"
	g.get(digests, preview, g.stateDigest)
	g.post(digests+":update", g.updateStateDigest, member("state_digest"))
	g.post(digests+":ack", g.ack, member("ack"))

	const proposal = "/members/proposals/{proposalId}"
	g.post("/members/proposals:create", g.createProposal, active("proposal"))
	g.post(proposal+":withdraw", g.withdraw, active("withdrawal"))
	g.get("/members/proposals", preview, g.listProposals)
	g.get(proposal, preview, g.getProposal)
	g.get(proposal+"/actions", preview, g.getActions)
	const ballot = proposal + "/ballots/{memberId}"
	g.post(ballot+":submit", g.submitBallot, active("ballot"))
	g.get(ballot, preview, g.getBallot)

	g.get("/recovery/encrypted-shares/{memberId}", preview, g.encryptedShare)
	g.post("/recovery/members/{memberId}:recover", g.recover, active("recovery_share"))

	g.get("/service/constitution", preview, g.constitution)
	g.get("/service/info", preview, g.serviceInfo)
	g.get("/service/javascript-app", v1, g.javascriptApp)
	g.get("/service/javascript-modules", v1, g.listModules)
	g.get("/service/javascript-modules/{moduleName}", v1, g.getModule)
	g.get("/service/join-policy", preview, g.joinPolicy)
	g.get("/service/jwk", preview, g.jwk)
	g.get("/service/members", preview, g.listMembers)
	g.get("/service/members/{memberId}", preview, g.getMember)
	g.get("/service/users", preview, g.listUsers)
	g.get("/service/users/{userId}", preview, g.getUser)
	g.get("/service/nodes", preview, g.listNodes)
	g.get("/service/nodes/{nodeId}", preview, g.getNode)
	g.command("/service/transactions/commit", g.commit)
	g.command("/service/transactions/{transactionId}", g.transaction)
	return g.app
}

func (g *gov) get(path string, since version, h handler) {
	g.app.Get(path, g.handle(since, h)).ReadOnly().Hide()
}

func (g *gov) command(path string, h handler) {
	g.app.Get(path, g.handle(preview, h)).NoTx().Hide()
}

func (g *gov) post(path string, h handler, p app.Policy) {
	g.app.Post(path, g.handle(preview, h), p).Hide()
}

// handle checks the api-version and logs what goes wrong, once: all of it is
// public (CCF: src/node/gov/handlers/helpers.h, set_gov_error).
func (g *gov) handle(since version, h handler) app.Handler {
	return func(c *app.Context) error {
		err := since.check(c)
		if err == nil {
			err = h(c)
		}
		var shown *synod.Error
		if errors.As(err, &shown) {
			g.log.InfoContext(c.Context(),
				fmt.Sprintf("%s %s returning error %d: %s", c.Request.Method, c.Request.Path, shown.Status, shown.Message),
				slog.String("tag", "gov"))
		}
		return err
	}
}

// internal is a 500 with a text for the member.
func internal(format string, args ...any) *synod.Error {
	return synod.Errorf(500, synod.CodeInternalError, format, args...)
}

// broken is the answer when a table does not hold what it should.
func broken(err error) *synod.Error { return internal("%s", err) }

// canonical returns JSON with its keys in order, as CCF prints it, whatever
// wrote it; nil becomes null.
func canonical(raw json.RawMessage) (any, error) {
	if raw == nil {
		return nil, nil
	}
	return decodeNumbers(raw)
}

// sortedKeys are the keys of a map in ascending order.
func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
