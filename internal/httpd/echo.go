package httpd

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// datagramMax is the longest datagram that UDP carries, in bytes.
const datagramMax = 65535

func listenEcho(cfg Interface) (*Listener, error) {
	var lc net.ListenConfig
	udp, err := lc.ListenPacket(context.Background(), "udp", cfg.BindAddress)
	if err != nil {
		return nil, fmt.Errorf("listen on interface %s: %w", cfg.Name, err)
	}
	return &Listener{cfg: cfg, log: cfg.Log, udp: udp.(*net.UDPConn)}, nil
}

// What is sent back to one address: anybody may put that of another echo service on
// a datagram, between which it would go to and fro for ever. One that is not sent
// back ends that, as soon as it comes round more often than answersEvery.
const (
	// answersMax is how many datagrams in a row are sent back to an address.
	answersMax = 64
	// answersEvery is how soon there is one more.
	answersEvery = time.Second
	// portMin is the lowest port that is answered: below it are the well-known
	// services, which answer for their part.
	portMin = 1024
	// echoSlots bounds what is remembered of addresses; those that share a slot
	// share what is sent back.
	echoSlots = 1024
)

// allowance is how much may be sent back to the addresses of each slot.
type allowance struct {
	seed maphash.Seed // nobody can choose an address that shares another's slot
	used [echoSlots]struct {
		since time.Time // when the count was 0, were it to go on
		count int
	}
}

func newAllowance() *allowance { return &allowance{seed: maphash.MakeSeed()} }

// take says whether a datagram from an address is sent back.
func (a *allowance) take(from netip.AddrPort, now time.Time) bool {
	if from.Port() < portMin {
		return false
	}
	u := &a.used[maphash.Comparable(a.seed, from)%echoSlots]
	if back := int(now.Sub(u.since) / answersEvery); back >= u.count {
		u.since, u.count = now, 0
	} else {
		u.since, u.count = u.since.Add(time.Duration(back)*answersEvery), u.count-back
	}
	if u.count >= answersMax {
		return false
	}
	u.count++
	return true
}

// echo sends datagrams back to where they say that they come from, one at a
// time, until ctx ends or the Listener is closed. It never sends more than it
// has received.
func (l *Listener) echo(ctx context.Context) {
	stopClosing := context.AfterFunc(ctx, func() { l.udp.Close() })
	defer stopClosing()
	buf := make([]byte, datagramMax)
	allowed := newAllowance()
	for {
		n, from, err := l.udp.ReadFromUDPAddrPort(buf)
		if err == nil && allowed.take(from, time.Now()) {
			_, err = l.udp.WriteToUDPAddrPort(buf[:n], from)
		}
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return
		default:
			// UDP loses datagrams; a sender that wants an answer asks again.
			l.log.DebugContext(ctx, "echo failed", slog.String("interface", l.cfg.Name), slog.String("err", err.Error()))
			if waitFor(ctx.Done(), time.Millisecond) {
				return
			}
		}
	}
}
