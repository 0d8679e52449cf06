package ipireport

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// Handler serves what a collector knows: /metrics for Prometheus, /json, /folded, and / as a
// page. It answers only requests that name this machine's loopback, by address or as
// localhost, so that pages from elsewhere in a browser cannot read it under a name of theirs.
func Handler(c *Collector, o Options, seriesMax int) http.Handler {
	m := NewMetrics(seriesMax)
	var mu sync.Mutex
	mux := http.NewServeMux()
	page := func(pattern, contentType string, write func(io.Writer, *Report) error) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, _ *http.Request) {
			var b bytes.Buffer
			if err := write(&b, soFar(c)); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			h := w.Header()
			h.Set("Content-Type", contentType)
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Cache-Control", "no-store")
			w.Write(b.Bytes())
		})
	}
	page("/metrics", "text/plain; version=0.0.4; charset=utf-8", func(w io.Writer, r *Report) error {
		mu.Lock()
		defer mu.Unlock()
		return m.Write(w, r)
	})
	page("/json", "application/json", func(w io.Writer, r *Report) error { return r.WriteJSON(w) })
	page("/folded", "text/plain; charset=utf-8", func(w io.Writer, r *Report) error { return r.WriteFolded(w) })
	page("/{$}", "text/html; charset=utf-8", func(w io.Writer, r *Report) error { return r.WriteHTML(w, o) })
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !loopbackHost(req.Host) {
			http.Error(w, "ask for localhost or a loopback address", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, req)
	})
}

// soFar is the report of a run that goes on.
func soFar(c *Collector) *Report {
	r := c.Report()
	if r.Incomplete != "" && r.Incomplete == r.stopped() {
		r.Incomplete = "the run goes on: " + r.progress()
	}
	return r
}

func loopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// Listen listens on an address such as 127.0.0.1:9470 or :9470, which is loopback too. What is
// served names processes and what they do, so addresses that others can reach are refused.
func Listen(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: expected HOST:PORT such as 127.0.0.1:9470: %w", address, err)
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	if addr, err := netip.ParseAddr(host); err != nil || !addr.IsLoopback() {
		return nil, fmt.Errorf("address %q: expected a loopback address such as 127.0.0.1, as reports name processes and what they do; put a proxy with access control in front to reach it from elsewhere", address)
	}
	return net.Listen("tcp", net.JoinHostPort(host, port))
}
