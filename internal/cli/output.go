package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// format is the value of -o.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
)

// String implements pflag.Value.
func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *format) Type() string { return "table|json" }

// Set implements pflag.Value.
func (f *format) Set(s string) error {
	switch format(s) {
	case formatTable, formatJSON:
		*f = format(s)
		return nil
	}
	return fmt.Errorf("want table or json")
}

// printer prints a command's result.
type printer struct {
	out    io.Writer
	format format
}

// newPrinter adds -o to a command.
func newPrinter(env *Env, c *cobra.Command) *printer {
	p := &printer{out: env.Stdout, format: formatTable}
	c.Flags().VarP(&p.format, "output", "o", "how to print the result")
	return p
}

// line prints a result of one object: its JSON, or a line of text.
func (p *printer) line(v any, text string, a ...any) error {
	if p.format == formatJSON {
		return p.json(v)
	}
	_, err := fmt.Fprintf(p.out, text+"\n", a...)
	return err
}

// table prints a list: the JSON of v, or rows under a header.
func (p *printer) table(v any, header []string, rows [][]string) error {
	if p.format == formatJSON {
		return p.json(v)
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ToUpper(strings.Join(header, "\t")))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func (p *printer) json(v any) error {
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	return nil
}

// jsonLine prints one of several results, each on a line of its own.
func (p *printer) jsonLine(v any) error {
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	return nil
}
