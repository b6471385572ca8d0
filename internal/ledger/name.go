package ledger

import (
	"strconv"
	"strings"

	"synod"
)

// Name is what the name of a ledger file says (CCF: src/host/ledger.h,
// python/src/ccf/ledger.py):
//
//	ledger_<start>                              open, or complete and not yet all committed
//	ledger_<start>-<end>.committed              every entry committed
//	….recovery                                  written during a recovery not yet finished
//	….ignored                                   set aside
type Name struct {
	Start     synod.SeqNo // first entry
	End       synod.SeqNo // last entry; 0 unless Committed (or a foreign tool wrote it)
	Committed bool
	Recovery  bool
	Ignored   bool
}

const (
	prefix          = "ledger_"
	suffixCommitted = ".committed"
	suffixRecovery  = ".recovery"
	suffixIgnored   = ".ignored"
)

// ParseName reads a file name without its directory. It refuses everything
// that String does not write, such as padded numbers.
func ParseName(s string) (Name, bool) {
	var n Name
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return Name{}, false
	}
	rest, n.Ignored = strings.CutSuffix(rest, suffixIgnored)
	rest, n.Recovery = strings.CutSuffix(rest, suffixRecovery)
	rest, n.Committed = strings.CutSuffix(rest, suffixCommitted)
	start, end, ranged := strings.Cut(rest, "-")
	if n.Start, ok = parseSeqNo(start); !ok {
		return Name{}, false
	}
	if ranged {
		if n.End, ok = parseSeqNo(end); !ok || n.End < n.Start {
			return Name{}, false
		}
	}
	if n.Committed && !ranged {
		return Name{}, false
	}
	return n, true
}

func parseSeqNo(s string) (synod.SeqNo, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return synod.SeqNo(n), err == nil && n > 0 && s[0] >= '1' && s[0] <= '9'
}

// String returns the file name.
func (n Name) String() string {
	b := strconv.AppendUint([]byte(prefix), uint64(n.Start), 10)
	if n.End != 0 {
		b = append(b, '-')
		b = strconv.AppendUint(b, uint64(n.End), 10)
	}
	if n.Committed {
		b = append(b, suffixCommitted...)
	}
	if n.Recovery {
		b = append(b, suffixRecovery...)
	}
	if n.Ignored {
		b = append(b, suffixIgnored...)
	}
	return string(b)
}
