package nobuiltinsapp

import (
	"strconv"
	"time"

	"synod"
	"synod/app"
)

// nodes is governance's table of nodes by ID; applications may read it.
var nodes = app.MapWith("public:ccf.gov.nodes.info", app.StringCodec(), app.JSONCodec[node]())

type node struct {
	Evidence struct {
		Endorsements string `json:"endorsements"` // base64
		Format       string `json:"format"`
		Quote        string `json:"quote"` // base64
	} `json:"quote_info"`
	Status string `json:"status"`
}

// quote is evidence of a node's code and key, as this application shows it.
type quote struct {
	Endorsements string `json:"endorsements"`
	Quote        string `json:"quote"`
	Format       string `json:"quote_format"`
}

func (n node) quote() quote {
	return quote{Endorsements: n.Evidence.Endorsements, Quote: n.Evidence.Quote, Format: n.Evidence.Format}
}

type (
	nodeSummary struct {
		CommittedSeqNo synod.SeqNo  `json:"committed_seqno"`
		CommittedView  synod.View   `json:"committed_view"`
		Endorsements   string       `json:"endorsements"`
		NodeID         synod.NodeID `json:"node_id"`
		Quote          string       `json:"quote"`
		Format         string       `json:"quote_format"`
	}
	nodesSummary struct {
		Nodes map[string]quote `json:"nodes"`
	}
	transaction struct {
		ID synod.TxID `json:"transaction_id"`
	}
	timestamp struct {
		Timestamp string `json:"timestamp"`
	}
)

// New declares the application's endpoints.
func New() *app.App {
	a := app.New("nobuiltins").
		Describe("app", "A CCF sample demonstrating a minimal app, with no default endpoints", "0.0.1").
		OnlyCommonEndpoints("/api")
	app.Typed(a, "GET", "/node_summary", summary, app.NoAuth).ReadOnly()
	app.Typed(a, "GET", "/all_nodes", allNodes, app.NoAuth).ReadOnly()
	app.Typed(a, "GET", "/commit", commit, app.NoAuth).NoTx()
	app.Typed(a, "GET", "/tx_id", txID, app.NoAuth).NoTx()
	app.Typed(a, "GET", "/current_time", currentTime, app.NoAuth).NoTx()
	return a
}

func summary(c *app.Context, _ app.None) (nodeSummary, error) {
	id, committed := c.Node().ID(), c.Node().Committed()
	row, ok, err := nodes.Get(c.Tx(), string(id))
	if err != nil {
		return nodeSummary{}, err
	}
	if !ok {
		return nodeSummary{}, synod.Errorf(500, synod.CodeInternalError, "Failed to get quote: this node is not in the service's table of nodes yet.")
	}
	q := row.quote()
	return nodeSummary{
		CommittedSeqNo: committed.SeqNo, CommittedView: committed.View, NodeID: id,
		Endorsements: q.Endorsements, Quote: q.Quote, Format: q.Format,
	}, nil
}

// allNodes shows the evidence of every trusted node.
func allNodes(c *app.Context, _ app.None) (nodesSummary, error) {
	out := nodesSummary{Nodes: map[string]quote{}}
	err := nodes.ForEach(c.Tx(), func(id string, n node) bool {
		if n.Status == "Trusted" {
			out.Nodes[id] = n.quote()
		}
		return true
	})
	return out, err
}

func commit(c *app.Context, _ app.None) (transaction, error) {
	return transaction{c.Node().Committed()}, nil
}

// txID completes a transaction's number with its view.
func txID(c *app.Context, _ app.None) (transaction, error) {
	text, ok := c.Query("seqno")
	if !ok {
		return transaction{}, synod.Errorf(400, synod.CodeInvalidInput, "Missing query parameter 'seqno'")
	}
	seqno, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return transaction{}, synod.Errorf(400, synod.CodeInvalidQueryParameterValue, "Query parameter '%s' cannot be parsed as a seqno", text)
	}
	view, ok := c.Node().ViewOf(synod.SeqNo(seqno))
	if !ok {
		return transaction{}, synod.Errorf(500, synod.CodeInternalError, "Unable to construct TxID: NotFound")
	}
	return transaction{synod.TxID{View: view, SeqNo: synod.SeqNo(seqno)}}, nil
}

// currentTime is the time of the host, which nobody vouches for.
func currentTime(*app.Context, app.None) (timestamp, error) {
	return timestamp{time.Now().UTC().Format("2006-01-02T15:04:05.000000-07:00")}, nil
}
