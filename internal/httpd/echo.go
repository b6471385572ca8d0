package httpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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

// echo sends every datagram back to where it says that it comes from, one at a
// time, until ctx ends or the Listener is closed. It never sends more than it
// has received.
func (l *Listener) echo(ctx context.Context) {
	stopClosing := context.AfterFunc(ctx, func() { l.udp.Close() })
	defer stopClosing()
	buf := make([]byte, datagramMax)
	for {
		n, from, err := l.udp.ReadFromUDPAddrPort(buf)
		if err == nil {
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
