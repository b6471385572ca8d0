package httpd

import (
	"net/http"
	"strconv"

	"synod/app"
)

// appendHead appends the head of a response to dst and returns the body that
// belongs after it. The content-length is always there and always right: a
// Handler's own counts only for HEAD, whose body is never sent. Fields that
// would change the framing are left out, as are those whose name is no token;
// control bytes in a value become spaces.
func appendHead(dst []byte, method string, resp *app.Response, connection string) ([]byte, []byte) {
	status := finalStatus(resp.Status)
	body := bodyOf(status, resp)
	dst = appendStatus(dst, status)
	length := int64(len(body))
	for _, f := range resp.Header {
		switch {
		case !isName(f.Name) || framesMessage(f.Name):
			if method == http.MethodHead && equalName(f.Name, "content-length") {
				if n, err := strconv.ParseUint(f.Value, 10, 63); err == nil {
					length = int64(n)
				}
			}
			continue
		}
		dst = appendField(dst, f.Name, f.Value)
	}
	if connection != "" {
		dst = appendField(dst, "connection", connection)
	}
	dst = append(dst, "content-length: "...)
	dst = strconv.AppendInt(dst, length, 10)
	dst = append(dst, "\r\n\r\n"...)
	if method == http.MethodHead {
		body = nil
	}
	return dst, body
}

func appendStatus(dst []byte, status int) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(status)...)
	return append(dst, "\r\n"...)
}

// finalStatus makes a status that cannot end a response a 500.
func finalStatus(status int) int {
	if status < 200 || status > 599 {
		return 500
	}
	return status
}

// bodyOf is the body to send: none with the statuses that never have one.
func bodyOf(status int, resp *app.Response) []byte {
	if status == http.StatusNoContent || status == http.StatusNotModified {
		return nil
	}
	return resp.Body
}

func appendField(dst []byte, name, value string) []byte {
	for i := range len(name) {
		dst = append(dst, toLower(name[i]))
	}
	dst = append(dst, ": "...)
	at := len(dst)
	dst = append(dst, value...)
	for i := at; i < len(dst); i++ {
		if class[dst[i]]&isValue == 0 {
			dst[i] = ' '
		}
	}
	return append(dst, "\r\n"...)
}

func isName(name string) bool {
	for i := range len(name) {
		if class[name[i]]&isToken == 0 {
			return false
		}
	}
	return name != ""
}

// framesMessage says whether a field is this package's to send.
func framesMessage(name string) bool {
	switch len(name) {
	case len("content-length"):
		return equalName(name, "content-length")
	case len("transfer-encoding"):
		return equalName(name, "transfer-encoding")
	case len("connection"):
		return equalName(name, "connection") || equalName(name, "keep-alive")
	}
	return false
}

func equalName(name, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range len(name) {
		if toLower(name[i]) != lower[i] {
			return false
		}
	}
	return true
}
