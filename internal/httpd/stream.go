package httpd

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"synod/app"
)

// streamWriteMax is how long a client of a stream may take nothing of what is
// sent to it before its session is ended.
const streamWriteMax = 30 * time.Second

// streamed says whether a response has a body that is written as it comes: a status that
// never has one ends it before it begins.
func streamed(resp *app.Response) bool {
	status := finalStatus(resp.Status)
	return resp.Stream != nil && status != http.StatusNoContent && status != http.StatusNotModified
}

// errLength breaks off a stream that does not send what it promised.
var errLength = errors.New("a stream sent other than its length")

// stream answers with a body that is written as it comes. If its length is not
// known, the session ends with it: it comes in chunks to a client of HTTP/1.1, and
// until the connection closes to an older one. What the client sends meanwhile
// stays unread.
func (s *http1) stream(ctx context.Context, method string, resp *app.Response) error {
	known := resp.Length > 0
	chunks := !known && s.head.major == '1' && s.head.minor != '0'
	head := appendStatus(s.out[:0], finalStatus(resp.Status))
	for _, f := range resp.Header {
		if isName(f.Name) && !framesMessage(f.Name) {
			head = appendField(head, f.Name, f.Value)
		}
	}
	switch {
	case known:
		head = appendField(head, "content-length", strconv.FormatInt(resp.Length, 10))
		if p := s.persistence(); p != "" {
			head = appendField(head, "connection", p)
		}
	case chunks:
		head = appendField(head, "connection", "close")
		head = appendField(head, "transfer-encoding", "chunked")
	default:
		head = appendField(head, "connection", "close")
	}
	if err := s.push(append(head, "\r\n"...)); err != nil || method == http.MethodHead {
		return err
	}
	left := resp.Length
	err := resp.Stream(ctx, func(b []byte) error {
		if len(b) == 0 {
			return nil // an empty chunk would be the end
		}
		if left -= int64(len(b)); known && left < 0 {
			return errLength
		}
		if !chunks {
			return s.push(b)
		}
		out := strconv.AppendUint(s.out[:0], uint64(len(b)), 16)
		out = append(append(append(out, "\r\n"...), b...), "\r\n"...)
		if cap(out) <= bufferMax {
			s.out = out
		}
		return s.push(out)
	})
	switch {
	case err != nil:
		return err
	case known && left != 0:
		return errLength
	case known: // later answers have their own time
		return s.raw.SetWriteDeadline(time.Time{})
	case !chunks:
		return nil
	}
	return s.push([]byte("0\r\n\r\n"))
}

// push writes part of a stream, which the client must take soon.
func (c *conn) push(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), writeStep)
		if err := c.raw.SetWriteDeadline(time.Now().Add(streamWriteMax)); err != nil {
			return err
		}
		if err := c.write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// sendStream writes a body to a stream of HTTP/2 as it comes.
func sendStream(ctx context.Context, w http.ResponseWriter, method string, resp *app.Response) {
	header := w.Header()
	header["Date"], header["Content-Type"] = nil, nil
	for _, f := range resp.Header {
		if isName(f.Name) && !framesMessage(f.Name) && !equalName(f.Name, "content-length") {
			header.Add(f.Name, f.Value)
		}
	}
	if resp.Length > 0 {
		header.Set("content-length", strconv.FormatInt(resp.Length, 10))
	}
	w.WriteHeader(finalStatus(resp.Status))
	control := http.NewResponseController(w)
	if err := control.Flush(); err != nil || method == http.MethodHead {
		return
	}
	err := resp.Stream(ctx, func(b []byte) error {
		if err := control.SetWriteDeadline(time.Now().Add(streamWriteMax)); err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		return control.Flush()
	})
	if err != nil {
		panic(http.ErrAbortHandler) // http2 resets the stream for it
	}
}
