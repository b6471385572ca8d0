package peer

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"synod"
)

// BenchmarkSend is messages one way over loopback, the sender never ahead by more
// than the queue holds.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 16 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := newService(b)
			var arrived atomic.Int64
			from := s.node()
			to := s.node(func(c *Config) { c.Message = func(synod.NodeID, []byte) { arrived.Add(1) } }).serve(nil)
			s.set(from.id, "")
			m := make([]byte, size)
			from.Send(to.id, m)
			until(b, "the link is up", func() bool { return arrived.Load() == 1 })
			arrived.Store(0)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for !from.Send(to.id, m) {
					<-time.After(100 * time.Microsecond)
				}
			}
			until(b, "all arrived", func() bool { return arrived.Load() >= int64(b.N) })
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkCall is the round trip of one call at a time, and of many.
func BenchmarkCall(b *testing.B) {
	for _, parallel := range []int{1, 64} {
		b.Run(fmt.Sprint(parallel), func(b *testing.B) {
			s := newService(b)
			from := s.node()
			to := s.node(func(c *Config) {
				c.Call = func(_ context.Context, _ synod.NodeID, r []byte) ([]byte, error) { return r, nil }
			}).serve(nil)
			s.set(from.id, "")
			request := make([]byte, 500)
			b.ReportAllocs()
			b.SetParallelism(parallel)
			if parallel == 1 {
				for b.Loop() {
					if _, err := from.Links.Call(b.Context(), to.id, request); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := from.Links.Call(b.Context(), to.id, request); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
