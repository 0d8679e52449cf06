// Debuglog keeps verbose logging compiled in and switches it over HTTP while
// the server works: GET /work logs its steps only while the key is on.
//
//	go run ./examples/debuglog &
//	curl localhost:8080/work
//	curl -X POST 'localhost:8080/debug?on=true'
//	curl localhost:8080/work
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"

	"github.com/quietpatch/quietpatch/statickey"
)

var verbose statickey.Bool

var _ = statickey.Register(&verbose, "debuglog.verbose", "log every step of a request")

// server answers requests and logs to out.
type server struct{ out io.Writer }

func (s *server) work(w http.ResponseWriter, r *http.Request) {
	if verbose.Enabled() {
		fmt.Fprintln(s.out, "work: request from", r.URL.Path)
	}
	sum := 0
	for i := range 1000 {
		sum += i
	}
	if verbose.Enabled() {
		fmt.Fprintln(s.out, "work: sum", sum)
	}
	fmt.Fprintln(w, sum)
}

func (s *server) debug(w http.ResponseWriter, r *http.Request) {
	on, err := strconv.ParseBool(r.FormValue("on"))
	if err != nil {
		http.Error(w, "on: expected true or false", http.StatusBadRequest)
		return
	}
	if err := verbose.Set(on); err != nil { // all checks, or none
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "verbose:", on)
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /work", s.work)
	mux.HandleFunc("POST /debug", s.debug)
	return mux
}

func main() {
	s := &server{out: os.Stderr}
	log.Fatal(http.ListenAndServe("localhost:8080", s.handler()))
}
