package history

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// ErrUndecided says that the check did not end in its time.
var ErrUndecided = errors.New("whether the history is linearizable was not decided in time")

// Outcome is what a client knows of its operation.
type Outcome int

// The outcomes.
const (
	// Done: a write is known to be committed, a read has its value.
	Done Outcome = iota
	// Unknown: the write may have happened, or happen at any time to come.
	Unknown
	// Failed: the operation surely never happened.
	Failed
)

// Operation is one write or read of a key. The empty value is that of a key
// that nobody has written.
type Operation struct {
	Write   bool
	Key     string
	Value   string // written or read
	Call    int64  // in any unit of time that all operations share
	Answer  int64  // not before Call; ignored if Unknown
	Outcome Outcome
}

func (o Operation) String() string {
	verb := "reads"
	if o.Write {
		verb = "writes"
	}
	end := fmt.Sprint(o.Answer)
	if o.Outcome == Unknown {
		end = "?"
	}
	return fmt.Sprintf("%d to %s: %s %q", o.Call, end, verb, o.Value)
}

// Check says whether the operations are linearizable, key by key. The error
// names a key for which they are not and lists what was done to it, or is
// ErrUndecided.
func Check(operations []Operation, timeout time.Duration) error {
	keys := map[string][]Operation{}
	for _, o := range operations {
		// A read of unknown outcome says nothing, and neither does what failed.
		if o.Outcome == Done || o.Outcome == Unknown && o.Write {
			keys[o.Key] = append(keys[o.Key], o)
		}
	}
	deadline := time.Now().Add(timeout)
	for key, list := range keys {
		switch porcupine.CheckOperationsTimeout(register, events(list), max(time.Until(deadline), time.Millisecond)) {
		case porcupine.Ok:
		case porcupine.Unknown:
			return ErrUndecided
		case porcupine.Illegal:
			return fmt.Errorf("the operations on key %q are not linearizable:\n%s", key, describe(list))
		}
	}
	return nil
}

// register is the model of one key.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		o := input.(Operation)
		if o.Write {
			return true, o.Value
		}
		return state == o.Value, state
	},
}

func events(list []Operation) []porcupine.Operation {
	out := make([]porcupine.Operation, len(list))
	for i, o := range list {
		out[i] = porcupine.Operation{ClientId: i, Input: o, Call: o.Call, Return: o.Answer}
		if o.Outcome == Unknown {
			out[i].Return = math.MaxInt64
		}
	}
	return out
}

func describe(list []Operation) string {
	slices.SortFunc(list, func(a, b Operation) int { return int(a.Call - b.Call) })
	lines := make([]string, len(list))
	for i, o := range list {
		lines[i] = o.String()
	}
	return strings.Join(lines, "\n")
}
