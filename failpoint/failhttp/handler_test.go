package failhttp

import (
	"bufio"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/failpoint"
)

var one, two failpoint.Point

func init() {
	for name, p := range map[string]*failpoint.Point{"http/one": &one, "http-two": &two} {
		if err := failpoint.Register(p, name, "of handler_test.go"); err != nil {
			log.Print(err)
		}
	}
}

// client asks a server on loopback.
type client struct {
	t   *testing.T
	url string
}

func (c client) do(method, path, body string) (int, string, http.Header) {
	c.t.Helper()
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(text), res.Header
}

func newClient(t *testing.T, h http.Handler) client {
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.Close()
		if err := failpoint.Forbid(); err != nil {
			t.Error(err)
		}
	})
	if err := failpoint.Allow(); err != nil {
		t.Fatal(err)
	}
	return client{t, srv.URL}
}

// TestRoutes has the requests of both peers' documents and tests.
func TestRoutes(t *testing.T) {
	c := newClient(t, Handler())
	for i, tt := range []struct {
		method, path, body string
		status             int
		want               string // the answer, or a part of it if it is an error
	}{
		{"GET", "/", "", 200, "http-two=\nhttp/one=\n"},
		{"GET", "/http/one", "", 404, "failed to GET: failpoint: point is off"},
		{"GET", "/http/one/count", "", 500, "failed to GET: failpoint: point is off"},
		{"GET", "/nosuch", "", 404, "no such point"},
		{"GET", "/nosuch/count", "", 404, "no such point"},
		{"DELETE", "/http/one", "", 400, "failed to delete failpoint: failpoint: point is off"},
		{"DELETE", "/nosuch", "", 400, "no such point"},
		{"PUT", "/nosuch", "return(1)", 400, "failed to set failpoint: failpoint: no such point"},
		{"PUT", "/http/one", "invalid", 400, "position 0: expected off"},
		{"PUT", "/http/one", "", 400, "found the end"},
		{"PUT", "/", "return(1)", 400, "no such point"},
		{"PUT", "/http/one", "2*return(1)->off", 204, ""},
		{"GET", "/http/one", "", 200, "2*return(1)->off\n"},
		{"GET", "/http/one/count", "", 200, "0"},
		{"GET", "/", "", 200, "http-two=\nhttp/one=2*return(1)->off\n"},
		{"PUT", "/failpoints", "http/one=return(2);nosuch=off", 400, `"nosuch"`},
		{"PUT", "/failpoints", "http/one=return(2);http-two=retrun", 400, "position 28"},
		{"GET", "/http/one", "", 200, "2*return(1)->off\n"},
		{"PUT", "/failpoints", "http/one=return(3);http-two=return(4)\n", 204, ""},
		{"GET", "/", "", 200, "http-two=return(4)\nhttp/one=return(3)\n"},
		{"PUT", "/FAILPOINTS", "http-two=return(5)", 204, ""},
		{"DELETE", "/http/one", "", 204, ""},
		{"GET", "/", "", 200, "http-two=return(5)\nhttp/one=\n"},
		{"POST", "/http/one", "return(1)", 405, "Method not allowed"},
		{"PUT", "/http/one", strings.Repeat(" ", bodyMax) + "off", 400, "too large"},
	} {
		status, body, header := c.do(tt.method, tt.path, tt.body)
		ok := body == tt.want || status >= 400 && strings.Contains(body, tt.want)
		if status != tt.status || !ok {
			t.Errorf("%d: %s %s %.40q: got %d %q, expected %d %q", i, tt.method, tt.path, tt.body, status, body, tt.status, tt.want)
		}
		if status == 405 && header.Get("Allow") != "DELETE, GET, PUT" {
			t.Errorf("Allow: %q", header.Get("Allow"))
		}
	}
	if _, ok := one.Eval(); ok {
		t.Error("one is on")
	}
	two.Eval()
	if v, ok := two.Eval(); !ok || v.Any() != 5 {
		t.Errorf("two: %v, %v", v.Any(), ok)
	}
	if _, body, _ := c.do("GET", "/http-two/count", ""); body != "2" {
		t.Errorf("count %q, expected 2", body)
	}
}

func TestForbidden(t *testing.T) {
	c := newClient(t, Handler())
	if err := failpoint.Forbid(); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "POST"} {
		if status, body, _ := c.do(method, "/http/one", "return(1)"); status != 403 || !strings.Contains(body, failpoint.EnvVar) {
			t.Errorf("%s: got %d %q", method, status, body)
		}
	}
	if _, ok := one.Eval(); ok {
		t.Error("the point is on")
	}
}

func TestPrefix(t *testing.T) {
	c := newClient(t, http.StripPrefix("/debug/failpoints", Handler()))
	if status, body, _ := c.do("PUT", "/debug/failpoints/http/one", "return(1)"); status != 204 {
		t.Errorf("got %d %q", status, body)
	}
	if status, body, _ := c.do("GET", "/debug/failpoints/", ""); status != 200 || !strings.Contains(body, "http/one=return(1)") {
		t.Errorf("got %d %q", status, body)
	}
	if status, _, _ := c.do("GET", "/debug/failpoints", ""); status != 400 {
		t.Errorf("no path: got %d", status)
	}
}

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, errors.New("bad read") }

func TestBadBody(t *testing.T) {
	newClient(t, Handler())
	rec := httptest.NewRecorder()
	Handler().ServeHTTP(rec, httptest.NewRequest("PUT", "/http/one", badReader{}))
	if rec.Code != 400 || !strings.Contains(rec.Body.String(), "failed to read the body of PUT: bad read") {
		t.Errorf("got %d %q", rec.Code, rec.Body)
	}
}

func TestListen(t *testing.T) {
	none := func(string) string { return "" }
	if s, err := listenEnv(none); s != nil || err != nil || s.Addr() != nil || s.Close() != nil {
		t.Errorf("nothing set: %v, %v", s, err)
	}
	for _, name := range []string{EnvVar, "GOFAIL_HTTP", "GO_FAILPOINTS_HTTP"} {
		env := func(n string) string {
			if n == name {
				return "127.0.0.1:0"
			}
			return ""
		}
		if err := failpoint.Forbid(); err != nil {
			t.Fatal(err)
		}
		if s, err := listenEnv(env); s != nil || !errors.Is(err, failpoint.ErrForbidden) {
			t.Errorf("%s, not allowed: %v, %v", name, s, err)
		}
		if err := failpoint.Allow(); err != nil {
			t.Fatal(err)
		}
		s, err := listenEnv(env)
		if err != nil {
			t.Fatal(err)
		}
		c := client{t, "http://" + s.Addr().String()}
		if status, body, _ := c.do("GET", "/", ""); status != 200 {
			t.Errorf("%s: got %d %q", name, status, body)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := http.Get(c.url); err == nil {
			t.Errorf("%s: still served after Close", name)
		}
	}
	if _, err := Listen("127.0.0.1:nosuch"); err == nil {
		t.Error("a wrong address was accepted")
	}
	if err := failpoint.Forbid(); err != nil {
		t.Error(err)
	}
}

// slowWriter is slow to flush, and looks whether a panic came before the end of it.
type slowWriter struct {
	*httptest.ResponseRecorder
	panicked *atomic.Bool
	flushed  bool
	early    bool
}

func (w *slowWriter) Flush() {
	time.Sleep(50 * time.Millisecond)
	w.flushed, w.early = true, w.panicked.Load()
}

// TestPanicWaitsForTheAnswer: a panic term does nothing until its request is answered.
func TestPanicWaitsForTheAnswer(t *testing.T) {
	newClient(t, Handler())
	var panicked atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked.Store(recover() != nil) }()
		for {
			one.Eval()
		}
	}()
	w := &slowWriter{ResponseRecorder: httptest.NewRecorder(), panicked: &panicked}
	Handler().ServeHTTP(w, httptest.NewRequest("PUT", "/http/one", strings.NewReader("panic")))
	<-done
	if w.Code != 204 || !w.flushed || w.early || !panicked.Load() {
		t.Errorf("status %d, flushed %v, a panic before that %v, a panic %v", w.Code, w.flushed, w.early, panicked.Load())
	}
}

// TestAnswerBeforePanic: the request that sets a panic term is answered, though
// the point is evaluated all the time.
func TestAnswerBeforePanic(t *testing.T) {
	if os.Getenv("FAILHTTP_TEST_CHILD") != "" {
		panicServer()
		return
	}
	for range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAnswerBeforePanic$")
		cmd.Env = append(os.Environ(), "FAILHTTP_TEST_CHILD=1")
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		addr, err := bufio.NewReader(stdout).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		c := client{t, "http://" + strings.TrimSpace(addr)}
		if status, body, _ := c.do("PUT", "/http/one", `panic("as asked")`); status != 204 {
			t.Errorf("got %d %q", status, body)
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(stderr.String(), "panic: failpoint panic: as asked") {
			t.Errorf("the child: %v\n%s", err, stderr.String())
		}
	}
}

func panicServer() {
	if err := failpoint.Allow(); err != nil {
		log.Fatal(err)
	}
	s, err := Listen("127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.WriteString(s.Addr().String() + "\n")
	for {
		one.Eval()
	}
}
