package portal

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// localCookie stands for the control plane's session cookie on a member's own
// machine, where there is no TLS to hold a __Host- cookie to.
const localCookie = "synod-local"

// localTimeout bounds how long a control plane may take to begin an answer.
const localTimeout = time.Minute

// Local serves the portal's files from this program, and passes what they ask for on
// to a control plane elsewhere: so a member's script is that of the member's own
// program, whatever the control plane would have served. It is for loopback
// addresses only, and answers to none but those in hosts (host:port), so that a page
// from elsewhere cannot reach it by a name of its own.
func Local(upstream *url.URL, trust *tls.Config, hosts []string, log *slog.Logger) http.Handler {
	own := &Portal{files: files()}
	proxy := &httputil.ReverseProxy{
		Transport:     &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true, ResponseHeaderTimeout: localTimeout, DialContext: (&net.Dialer{Timeout: localTimeout}).DialContext},
		FlushInterval: -1, // events
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Host = upstream.Host
			if r.In.Header.Get("Origin") == "http://"+r.In.Host {
				r.Out.Header.Set("Origin", upstream.Scheme+"://"+upstream.Host)
			}
			r.Out.Header.Del("Cookie")
			if c, err := r.In.Cookie(localCookie); err == nil {
				r.Out.AddCookie(&http.Cookie{Name: cookieName, Value: c.Value})
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			cookies := resp.Cookies()
			resp.Header.Del("Set-Cookie")
			for _, c := range cookies {
				if c.Name == cookieName {
					c.Name, c.Secure = localCookie, false
					resp.Header.Add("Set-Cookie", c.String())
				}
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			fail(w, &problem{http.StatusBadGateway, "ControlPlaneUnreachable", "The control plane at " + upstream.Host + " does not answer, or its certificate is not of the authority that was named."})
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !knows(hosts, r.Host) {
			http.Error(w, "this address is for this machine only", http.StatusMisdirectedRequest)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/portal/v1/") {
			proxy.ServeHTTP(w, r)
			return
		}
		securityHeaders(w.Header())
		if !strings.HasPrefix(r.URL.Path, "/portal/") {
			http.Redirect(w, r, "/portal/", http.StatusFound)
			return
		}
		own.static(w, r)
	})
}

func knows(hosts []string, host string) bool {
	for _, h := range hosts {
		if strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}
