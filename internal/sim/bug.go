package sim

// Bug is a mistake that a test plants in the simulated world, to see that the
// simulation finds it. Mistakes in the nodes' own code are planted by
// TestMutants.
type Bug int

// The mistakes.
const (
	NoBug             Bug = iota
	ReuseName             // a new node gets the raft name of one that crashed
	ForgetVote            // a node comes back without memory of its vote and log
	ChangeEntry           // an entry is changed on its way
	WrongRoot             // a node signs a root that is not its tree's
	EarlySecrets          // a joiner gets the ledger secrets before its trust is committed
	UnsignedSnapshot      // a joiner begins with a state that no committed signature covers
	ChangedSnapshot       // a joiner begins with a state in which one row was changed
	StaleRead             // a read that must be linearizable asks no majority
	AnswerUncommitted     // a client is told that its write is committed when it is only ordered
	UnverifiedOffer       // a node that was left behind goes on after a state in which one row was changed
	UncommittedOffer      // or after one that no committed signature covers
)

// Bugs are all mistakes, by name.
var Bugs = map[string]Bug{
	"a raft name is used again":         ReuseName,
	"a node forgets its vote":           ForgetVote,
	"an entry is changed on its way":    ChangeEntry,
	"another root is signed":            WrongRoot,
	"secrets before trust is committed": EarlySecrets,
	"an unsigned snapshot is accepted":  UnsignedSnapshot,
	"a changed snapshot is accepted":    ChangedSnapshot,
	"a read asks no majority":           StaleRead,
	"an uncommitted write is confirmed": AnswerUncommitted,
	"an unverified offer is taken":      UnverifiedOffer,
	"an uncommitted offer is taken":     UncommittedOffer,
}
