package callprog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
)

// A pipeListener accepts one end of a net.Pipe for each connection that is dialled:
// no system calls, whose time would be the kernel's.
type pipeListener struct{ conns chan net.Conn }

func (l pipeListener) Accept() (net.Conn, error) { return <-l.conns, nil }
func (l pipeListener) Close() error              { return nil }
func (l pipeListener) Addr() net.Addr            { return pipeAddr{} }

func (l pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	l.conns <- server
	return client, nil
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// counted is what middleware often is: a handler around a handler.
func counted(next http.Handler, n *int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*n++
		w.Header().Set("X-Served-By", "pipe")
		next.ServeHTTP(w, r)
	})
}

// httpRequest serves and makes requests over kept connections, in this process.
func httpRequest() (func() error, error) {
	l := pipeListener{conns: make(chan net.Conn)}
	reply, err := json.Marshal(newOrders(5))
	if err != nil {
		return nil, err
	}
	served := 0
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil || r.PathValue("id") != "42" {
			http.Error(w, "no such order", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(reply)
	})
	go http.Serve(l, counted(mux, &served))
	client := &http.Client{Transport: &http.Transport{DialContext: l.dial}}
	body := []byte(`{"quantity":3}`)
	return func() error {
		res, err := client.Post("http://pipe/orders/42?full=1", "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		if err == nil && (res.StatusCode != http.StatusOK || !bytes.Equal(got, reply)) {
			err = fmt.Errorf("%s with %d bytes, expected 200 with %d", res.Status, len(got), len(reply))
		}
		return err
	}, nil
}
