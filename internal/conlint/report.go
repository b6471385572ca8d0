package conlint

import "cmp"

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // do not adopt this constitution as it is
	Warning Severity = "warning" // read this place before voting
	Note    Severity = "note"    // worth knowing
)

// Place is a position in a source file.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"` // from 1
}

// Finding is one thing that was found. ID is stable between versions.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Place
	What string `json:"what"` // one sentence: what is wrong and why it matters
	Do   string `json:"do"`   // one sentence: what to do
}

// Votes are the fewest votes, the proposer's among them, that accept a
// proposal of a member in a consortium of Members equal members; nil if none
// do.
type Votes struct {
	Members int  `json:"members"`
	Needed  *int `json:"needed"`
}

// Action is one request that the constitution knows: an action, or for some
// actions one way to use it.
type Action struct {
	Name    string `json:"name"`
	Variant string `json:"variant,omitempty"` // such as "an operator"
	Place
	Valid  bool     `json:"valid"`  // whether validate takes the arguments that were tried
	Votes  []Votes  `json:"votes"`  // by size of the consortium
	Alone  []string `json:"alone"`  // kinds of proposer that pass it alone among several members
	Veto   bool     `json:"veto"`   // whether one vote against ends it
	Powers []string `json:"powers"` // what it can change, such as "constitution"
	Writes []string `json:"writes"` // tables that apply wrote
	// Outcomes are what resolve was seen to answer: Accepted, Open, Rejected,
	// "throws", or what else it returned.
	Outcomes []string `json:"outcomes"`
}

// label is the action with its variant.
func (a *Action) label() string {
	if a.Variant == "" {
		return a.Name
	}
	return a.Name + " (" + a.Variant + ")"
}

// Unreached is a branch or function that no run reached.
type Unreached struct {
	Place
	What string `json:"what"`
}

// Report is the result of one lint.
type Report struct {
	Files     []string    `json:"files"` // in the order in which they are joined
	SHA256    string      `json:"sha256"`
	Kinds     []string    `json:"kinds"` // of proposers that were tried
	Actions   []Action    `json:"actions"`
	Findings  []Finding   `json:"findings"`
	Unreached []Unreached `json:"unreached"`
	Branches  int         `json:"branches"` // that there are
}

// Count is how many findings have a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

func rank(s Severity) int { return map[Severity]int{Error: 0, Warning: 1, Note: 2}[s] }

func byWeight(a, b Finding) int {
	return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)), cmp.Compare(a.ID, b.ID),
		cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.What, b.What))
}
