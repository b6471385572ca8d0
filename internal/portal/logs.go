package portal

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// Logs.
const (
	// logTailMax is how much of the end of a log file is read, in bytes.
	logTailMax = 256 << 10
	// logLinesMax is how many lines of a node are answered.
	logLinesMax = 1000
)

// logLines are the last lines of one node's log.
type logLines struct {
	Ordinal int      `json:"ordinal"`
	Size    int64    `json:"size"` // bytes of the file: where to go on
	Lines   []string `json:"lines"`
	Cut     bool     `json:"cut"` // earlier lines are not in it
}

// logs answers the ends of the nodes' logs; with ?node= of one only, with
// &after= from a byte on.
func (p *Portal) logs(w http.ResponseWriter, r *http.Request) error {
	n, err := p.named(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	q := r.URL.Query()
	after, _ := strconv.ParseInt(q.Get("after"), 10, 64) // 0 is the tail
	out := []logLines{}
	for _, s := range n.Status.Nodes {
		if p.c.Log == nil || q.Get("node") != "" && q.Get("node") != strconv.Itoa(s.Ordinal) {
			continue
		}
		lines, err := tail(p.c.Log(n.ID.Name, s.Ordinal), after)
		if err != nil {
			continue // no log yet, or no longer
		}
		lines.Ordinal = s.Ordinal
		out = append(out, lines)
	}
	return answer(w, map[string]any{"logs": out})
}

func tail(name string, after int64) (logLines, error) {
	f, err := os.Open(name)
	if err != nil {
		return logLines{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return logLines{}, err
	}
	from := max(after, info.Size()-logTailMax, 0)
	b, err := io.ReadAll(io.NewSectionReader(f, from, max(info.Size()-from, 0)))
	if err != nil {
		return logLines{}, err
	}
	out := logLines{Size: from, Lines: []string{}, Cut: from > after}
	end := strings.LastIndexByte(string(b), '\n')
	if end < 0 {
		return out, nil
	}
	out.Size += int64(end) + 1
	lines := strings.Split(string(b[:end]), "\n")
	if out.Cut && from > 0 {
		lines = lines[1:] // the first is half a line
	}
	if len(lines) > logLinesMax {
		lines, out.Cut = lines[len(lines)-logLinesMax:], true
	}
	out.Lines = append(out.Lines, lines...)
	return out, nil
}
