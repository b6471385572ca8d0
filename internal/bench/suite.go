package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Suite measures services as the project's baseline does: 1000 keys, messages
// of 32 bytes, mutual TLS with P-384 certificates, clients and nodes on the same
// machine.
type Suite struct {
	Out      io.Writer
	Bin      string        // directory of the binaries that make build makes
	Duration time.Duration // of one load
	Scratch  string        // where services live; made and removed by the caller
	Only     []string      // names of sections; all if empty
	// Transactions is how many the section about memory writes;
	// DefaultTransactions if 0.
	Transactions int

	// Figures are what Run has measured, in its order.
	Figures []Figure

	section, subject string // what is being measured
}

// A section is a part of the suite that can be run alone.
type section struct {
	name    string
	about   string
	measure func(*Suite, context.Context) error
}

var sections = []section{
	{"one", "one node: native and JavaScript, reads and writes", (*Suite).measureOne},
	{"bundle", "one node: a bundle of 1 MB, proposals", (*Suite).measureLarge},
	{"history", "one node: reads of the past, receipts, ranges, the change feed", (*Suite).measureHistory},
	{"recovery", "one node: recovery from its ledger, public part, private part, index", (*Suite).measureRecovery},
	{"memory", "one node: cost of a transaction and memory, from 10³ to --transactions", (*Suite).measureMemory},
	{"three", "three nodes: reads, writes, forwarding, commit latency, rest", (*Suite).measureThree},
	{"durable", "one and three nodes: committed writes, beside etcd", (*Suite).measureDurable},
	{"failover", "three nodes: from the loss of the primary to the next committed write", (*Suite).measureFailover},
	{"join", "three nodes: snapshots under load, and a fourth node that catches up", (*Suite).measureJoin},
}

// Sections are the names of the suite's sections, each with what it measures.
func Sections() (names, about []string) {
	for _, s := range sections {
		names, about = append(names, s.name), append(about, s.about)
	}
	return names, about
}

// message is 32 bytes.
const message = "0123456789abcdef0123456789abcdef"

const keys = 1000

func post(c, i int) []byte {
	return Post("/app/log/private", fmt.Sprintf(`{"id":%d,"msg":"%s"}`, (c*131+i)%keys, message))
}

func postCommitted(c, i int) []byte {
	return PostCommitted("/app/log/private", fmt.Sprintf(`{"id":%d,"msg":"%s"}`, (c*131+i)%keys, message))
}

func get(c, i int) []byte { return Get(fmt.Sprintf("/app/log/private?id=%d", (c*131+i)%keys)) }

// Run prints every figure of the chosen sections.
func (s *Suite) Run(ctx context.Context) error {
	fmt.Fprintf(s.Out, "HTTP/1.1 over mutual TLS, %d keys, 32-byte messages, %s a load; clients and nodes on the same machine\n", keys, s.Duration)
	for _, part := range sections {
		if len(s.Only) > 0 && !slices.Contains(s.Only, part.name) {
			continue
		}
		s.section, s.subject = part.name, ""
		if err := part.measure(s, ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// with starts a service, has it measured, and stops it.
func (s *Suite) with(ctx context.Context, plan Plan, measure func(*Service) error) error {
	var err error
	if plan.Dir, err = os.MkdirTemp(s.Scratch, "service"); err != nil {
		return err
	}
	if plan.Binary, err = filepath.Abs(filepath.Join(s.Bin, plan.Binary)); err != nil {
		return err
	}
	service, err := StartService(ctx, plan)
	if err != nil {
		return err
	}
	return errors.Join(measure(service), service.Stop(), os.RemoveAll(plan.Dir))
}

func (s *Suite) printf(format string, args ...any) { fmt.Fprintf(s.Out, format, args...) }

func mb(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// idle is the share of a core, in percent, that each process takes while
// nothing happens.
func idle(ctx context.Context, d time.Duration, pids ...int) []float64 {
	before := processorTimes(pids)
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	shares := make([]float64, len(pids))
	for i, t := range processorTimes(pids) {
		shares[i] = 100 * (t - before[i]).Seconds() / d.Seconds()
	}
	return shares
}
