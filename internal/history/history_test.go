package history

import (
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	w := func(value string, call, answer int64) Operation {
		return Operation{Write: true, Key: "k", Value: value, Call: call, Answer: answer}
	}
	r := func(value string, call, answer int64) Operation {
		return Operation{Key: "k", Value: value, Call: call, Answer: answer}
	}
	unknown := func(o Operation) Operation { o.Outcome = Unknown; return o }
	failed := func(o Operation) Operation { o.Outcome = Failed; return o }
	for name, c := range map[string]struct {
		list []Operation
		ok   bool
	}{
		"nothing":                          {nil, true},
		"a read of nothing":                {[]Operation{r("", 1, 2)}, true},
		"one after the other":              {[]Operation{w("a", 1, 2), r("a", 3, 4), w("b", 5, 6), r("b", 7, 8)}, true},
		"a stale read":                     {[]Operation{w("a", 1, 2), w("b", 3, 4), r("a", 5, 6)}, false},
		"reads that go back":               {[]Operation{w("a", 1, 2), w("b", 3, 9), r("b", 4, 5), r("a", 6, 7)}, false},
		"concurrent":                       {[]Operation{w("a", 1, 2), w("b", 3, 9), r("a", 4, 5), r("b", 6, 7)}, true},
		"a lost write":                     {[]Operation{w("a", 1, 2), r("", 3, 4)}, false},
		"an unknown write that never was":  {[]Operation{unknown(w("a", 1, 0)), r("", 3, 4)}, true},
		"an unknown write that came later": {[]Operation{unknown(w("a", 1, 0)), r("", 3, 4), r("a", 5, 6)}, true},
		"an unknown write twice":           {[]Operation{unknown(w("a", 1, 0)), r("a", 3, 4), w("b", 5, 6), r("a", 7, 8)}, false},
		"a failed write that is read":      {[]Operation{failed(w("a", 1, 2)), r("a", 3, 4)}, false},
		"an unknown read":                  {[]Operation{w("a", 1, 2), unknown(r("x", 3, 0))}, true},
	} {
		if err := Check(c.list, time.Second); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
