package historical

import "testing"

// BenchmarkScan is how fast an index is built: of all entries of CCF's ledger.
func BenchmarkScan(b *testing.B) {
	p := ccfPast(b)
	var bytes int64
	for _, e := range p.entries {
		bytes += int64(len(e))
	}
	for _, name := range []string{"public:records", "records"} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(bytes)
			for b.Loop() {
				s := p.newScanner(0)
				for more := true; more; {
					var err error
					want := func(m string) bool { return m == name || m == "" && name == "records" }
					if more, err = s.advance(b.Context(), want, func(scanned) {}); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(len(p.entries))*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkFetch is how fast transactions are read and checked that nobody has
// asked after.
func BenchmarkFetch(b *testing.B) {
	p := ccfPast(b)
	for b.Loop() {
		if n, err := p.fetchRun(1, p.last.SeqNo, func(*state) error { return nil }); err != nil || n != int(p.last.SeqNo) {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(p.last.SeqNo)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
