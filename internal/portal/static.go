package portal

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// ariaStyleHash is the SHA-256, in base64, of the style block that React Aria
// adds to the page. The tests in e2e/portal fail when it changes.
const ariaStyleHash = "38RhXrc7EdReTKsOm23ZPOCUgniTUUcjky8QOOrQx6o="

// static answers with a file of the portal, or with its page for any other
// address that a browser goes to: the page says if there is nothing.
func (p *Portal) static(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		fail(w, &problem{http.StatusMethodNotAllowed, "MethodNotAllowed", "Only GET."})
		return
	}
	if p.files == nil {
		fail(w, &problem{http.StatusNotFound, "NoPortal", "This program was built without the portal."})
		return
	}
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/portal")
	name = strings.TrimPrefix(name, "/")
	switch {
	case strings.HasPrefix(name, "assets/"):
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		p.file(w, r, name)
	case name == "verify.html":
		w.Header().Set("Content-Disposition", `attachment; filename="verify.html"`)
		w.Header().Set("Cache-Control", "no-store")
		p.standalone(w)
	default:
		if !strings.Contains(r.Header.Get("Accept"), "text/html") {
			fail(w, errNoSuchPage)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		p.file(w, r, "index.html")
	}
}

// file answers with a file, compressed as it is embedded if the client takes
// that.
func (p *Portal) file(w http.ResponseWriter, r *http.Request, name string) {
	b, err := fs.ReadFile(p.files, name+".gz")
	if errors.Is(err, fs.ErrNotExist) && name == "index.html" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if b, err = fs.ReadFile(p.files, "missing.html"); err == nil {
			_, _ = w.Write(b)
			return
		}
	}
	if err != nil {
		fail(w, errNoSuchPage)
		return
	}
	w.Header().Set("Content-Type", contentType(name))
	w.Header().Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(b)
		return
	}
	plain, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		fail(w, err)
		return
	}
	_, _ = io.Copy(w, plain) //nolint:gosec // our own file
}

// standalone answers with the page that needs no server: it is put together from
// the page and the verifier, which is embedded once.
func (p *Portal) standalone(w http.ResponseWriter) {
	page, err := fs.ReadFile(p.files, "verify.html.gz")
	if err != nil {
		fail(w, errNoSuchPage)
		return
	}
	verifiers, err := fs.Glob(p.files, "assets/verifier-*.wasm.gz")
	if err != nil || len(verifiers) != 1 {
		fail(w, errNoSuchPage)
		return
	}
	wasm, err := fs.ReadFile(p.files, verifiers[0])
	if err != nil {
		fail(w, err)
		return
	}
	plain, err := gzip.NewReader(bytes.NewReader(page))
	if err != nil {
		fail(w, err)
		return
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	before, after, _ := bytes.Cut(text, []byte("@WASM@"))
	_, _ = w.Write(before)
	_, _ = io.WriteString(w, base64.StdEncoding.EncodeToString(wasm))
	_, _ = w.Write(after)
}

func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".wasm":
		return "application/wasm"
	case ".js":
		return "text/javascript; charset=utf-8"
	default:
		return mime.TypeByExtension(ext)
	}
}
