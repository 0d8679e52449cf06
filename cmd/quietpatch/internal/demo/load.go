package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/demo/kv"
)

// requestTimeout is far above what a request takes on a crowded machine: when
// it passes, a request hangs.
const requestTimeout = 10 * time.Second

// An application is what the load runs against.
type application struct {
	handler  http.Handler
	requests []kv.Request
	stages   int // what a response reports while the key is on
}

// A load is a server and its clients, all in this process.
type load struct {
	app    application
	gate   *gate
	server *http.Server
	base   *url.URL
	stop   atomic.Bool
	done   sync.WaitGroup

	sent    atomic.Uint64
	checked atomic.Uint64
	failed  atomic.Uint64
	first   atomic.Pointer[string] // what was wrong with the first that failed
}

// totals counts requests since the start of the load.
type totals struct {
	requests, checked, failed uint64
}

func (t totals) minus(u totals) totals {
	return totals{t.requests - u.requests, t.checked - u.checked, t.failed - u.failed}
}

// startLoad serves the application on a port of the loopback interface and
// starts clients that send requests one after the other.
func startLoad(app application, g *gate, clients int) (*load, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on the loopback interface: %w", err)
	}
	l := &load{
		app:    app,
		gate:   g,
		server: &http.Server{Handler: app.handler, ReadHeaderTimeout: requestTimeout},
		base:   &url.URL{Scheme: "http", Host: listener.Addr().String()},
	}
	l.done.Go(func() {
		if err := l.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			l.fail(fmt.Errorf("the server ended: %w", err))
		}
	})
	for i := range clients {
		l.done.Go(func() { l.client(i) })
	}
	return l, nil
}

// totals is safe to call at any time.
func (l *load) totals() totals {
	return totals{requests: l.sent.Load(), checked: l.checked.Load(), failed: l.failed.Load()}
}

// firstFailure is empty as long as no request failed.
func (l *load) firstFailure() string {
	if p := l.first.Load(); p != nil {
		return *p
	}
	return ""
}

// shutdown lets the requests under way finish, and waits for everything.
func (l *load) shutdown() error {
	l.stop.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	err := l.server.Shutdown(ctx)
	l.done.Wait()
	return err
}

func (l *load) fail(err error) {
	l.failed.Add(1)
	text := err.Error()
	l.first.CompareAndSwap(nil, &text)
}

// A client sends requests over one connection that is kept alive.
type client struct {
	http *http.Client
	req  *http.Request
	body bytes.Buffer
}

func (l *load) client(id int) {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	c := &client{
		http: &http.Client{Transport: transport, Timeout: requestTimeout},
		req:  &http.Request{Method: http.MethodGet, URL: l.base.JoinPath("/"), Header: make(http.Header)},
	}
	// Each client starts elsewhere, so that they do not ask for the same.
	for i := id * 37; !l.stop.Load(); i++ {
		before := l.gate.read()
		r, err := c.send(l.app.requests[i%len(l.app.requests)])
		after := l.gate.read()
		if l.stop.Load() {
			return // the server may be closing: no verdict
		}
		checked := false
		if err == nil {
			checked, err = l.gate.check(before, after, r, l.app.stages)
		}
		l.sent.Add(1)
		if checked {
			l.checked.Add(1)
		}
		if err != nil {
			l.fail(err)
			time.Sleep(time.Millisecond) // a server that is gone must not fill the log
		}
	}
}

// send performs one request and checks all of the response but the number of
// stages.
func (c *client) send(r kv.Request) (report, error) {
	c.req.URL.Path, c.req.URL.RawQuery = r.Path, r.Query
	c.req.Header.Set(kv.HeaderToken, r.Token)
	resp, err := c.http.Do(c.req)
	if err != nil {
		return report{}, err
	}
	defer resp.Body.Close()
	c.body.Reset()
	if _, err := c.body.ReadFrom(io.LimitReader(resp.Body, 1<<20)); err != nil {
		return report{}, fmt.Errorf("GET %s: read the body: %w", r.Path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return report{}, fmt.Errorf("GET %s: %s: %s", r.Path, resp.Status, bytes.TrimSpace(c.body.Bytes()))
	}
	sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(c.body.Bytes())), 16)
	if want := resp.Header.Get("ETag"); sum != want {
		return report{}, fmt.Errorf("GET %s: the body has the checksum %s, the header says %s", r.Path, sum, want)
	}
	return readReport(resp.Header)
}

func readReport(h http.Header) (report, error) {
	stages, err1 := strconv.Atoi(h.Get(kv.HeaderStages))
	distinct, err2 := strconv.Atoi(h.Get(kv.HeaderDistinct))
	if err := errors.Join(err1, err2); err != nil {
		return report{}, fmt.Errorf("the response does not say which stages were recorded: %w", err)
	}
	return report{stages: stages, distinct: distinct, missing: h.Get(kv.HeaderMissing)}, nil
}

// documentStore is the application of the demo.
func documentStore() (application, error) {
	store, err := kv.New()
	if err != nil {
		return application{}, err
	}
	// A number of requests that shares no factor with the number of clients,
	// so that the clients do not move in step.
	return application{handler: store, requests: store.Requests(997), stages: kv.StageCount}, nil
}
