package httpd

import (
	"testing"

	"synod/app"
)

func response(status int, name, value string, body []byte) *app.Response {
	return &app.Response{Status: status, Header: app.Header{{Name: name, Value: value}}, Body: body}
}

func TestResponse(t *testing.T) {
	for _, test := range []struct {
		name       string
		method     string
		resp       *app.Response
		connection string
		want       string
	}{
		{"empty", "GET", &app.Response{Status: 200}, "", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
		{"body", "GET", response(404, "Content-Type", "a/b", []byte("hi")), "close", "HTTP/1.1 404 Not Found\r\ncontent-type: a/b\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi"},
		{"HEAD", "HEAD", response(200, "x", "y", []byte("hi")), "", "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 2\r\n\r\n"},
		{"HEAD with a length", "HEAD", response(200, "content-length", "77", nil), "", "HTTP/1.1 200 OK\r\ncontent-length: 77\r\n\r\n"},
		{"HEAD with a bad length", "HEAD", response(200, "content-length", "-1", nil), "", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
		{"no content", "GET", response(204, "x", "y", []byte("hi")), "", "HTTP/1.1 204 No Content\r\nx: y\r\ncontent-length: 0\r\n\r\n"},
		{"not modified", "GET", response(304, "x", "y", []byte("hi")), "", "HTTP/1.1 304 Not Modified\r\nx: y\r\ncontent-length: 0\r\n\r\n"},
		{"a wrong length", "GET", response(200, "Content-Length", "77", []byte("hi")), "", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"},
		{"an encoding", "GET", response(200, "Transfer-Encoding", "chunked", []byte("hi")), "", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"},
		{"a split value", "GET", response(200, "x", "a\r\nb: c\x00", nil), "", "HTTP/1.1 200 OK\r\nx: a  b: c \r\ncontent-length: 0\r\n\r\n"},
		{"a split name", "GET", response(200, "x: y\r\nz", "a", nil), "", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
		{"no status", "GET", &app.Response{}, "", "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"},
		{"an interim status", "GET", &app.Response{Status: 101}, "", "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"},
	} {
		head, body := appendHead(nil, test.method, test.resp, test.connection)
		if got := string(head) + string(body); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
