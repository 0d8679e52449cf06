package ipireport

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

var (
	metricLine = regexp.MustCompile(`^([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? ([0-9.e+]+)$`)
	commentRow = regexp.MustCompile(`^# (HELP [a-z_]+ .+|TYPE [a-z_]+ (counter|gauge))$`)
)

// parseMetrics reads the text format strictly, and returns the samples.
func parseMetrics(t *testing.T, text string) map[string]float64 {
	t.Helper()
	samples := map[string]float64{}
	if !strings.HasSuffix(text, "\n") {
		t.Error("no line feed at the end")
	}
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.HasPrefix(l, "#") {
			if !commentRow.MatchString(l) {
				t.Errorf("comment %q", l)
			}
			continue
		}
		m := metricLine.FindStringSubmatch(l)
		if m == nil {
			t.Errorf("line %q", l)
			continue
		}
		if _, twice := samples[m[1]+m[2]]; twice {
			t.Errorf("twice: %q", l)
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Error(err)
		}
		samples[m[1]+m[2]] = v
	}
	return samples
}

func TestMetricsFormat(t *testing.T) {
	for name, r := range map[string]*Report{"sample": sampleCollector().Report(), "hostile": hostileReport(), "empty": NewCollector(Meta{}).Report()} {
		t.Run(name, func(t *testing.T) {
			parseMetrics(t, write(t, func(r *Report, w io.Writer) error { return NewMetrics(0).Write(w, r) }, r))
		})
	}
}

// TestMetricsAlike: names that look the same when they are escaped are one series.
func TestMetricsAlike(t *testing.T) {
	a, b := chrony(2, "close", "", 3), chrony(2, "close", "", 4)
	a.Sender.Comm, b.Sender.Comm = "x\x1b", `x\x1b`
	r := &Report{Rows: []ipi.Row{a, b}}
	samples := parseMetrics(t, write(t, forms()["metrics"], r))
	if v := samples[`quietpatch_ipis_total{cpu="2",kind="call",cause="do_sync_core",comm="x\\x1b",origin="close, workqueue netstamp_clear"}`]; v != 7 {
		t.Errorf("got %v", samples)
	}
}

// TestMetricsBound: there are never more series than allowed, all IPIs are in one of them, and
// no counter goes back, whatever comes.
func TestMetricsBound(t *testing.T) {
	const allowed, cpus = 50, 64
	m, c := NewMetrics(allowed), NewCollector(Meta{})
	before := map[string]float64{}
	for i := range 6 {
		rows := many(cpus * 16)
		for j := range rows {
			rows[j].IPIs *= uint64(i + 1 + j%7*i)
			rows[j].Queued, rows[j].CostNS = rows[j].IPIs, rows[j].IPIs
			rows[j].Sender.Comm += strconv.Itoa(j % (5 * (i + 1))) // ever new names
		}
		c.Add(ipi.Snapshot{At: time.Duration(i+1) * time.Second, Rows: rows})
		var b bytes.Buffer
		r := c.Report()
		if err := m.Write(&b, r); err != nil {
			t.Fatal(err)
		}
		now := parseMetrics(t, b.String())
		series, total := 0, 0.0
		for name, v := range now {
			if v < before[name] {
				t.Errorf("%s went back from %v to %v", name, before[name], v)
			}
			if strings.HasPrefix(name, "quietpatch_ipis_total") {
				series++
				total += v
			}
		}
		for name := range before {
			if _, ok := now[name]; !ok {
				t.Errorf("%s is gone", name)
			}
		}
		if series > allowed+cpus || total != float64(r.sum().ipis) {
			t.Errorf("%d series with %v IPIs, want at most %d with %d", series, total, allowed+cpus, r.sum().ipis)
		}
		before = maps.Clone(now)
	}
}

func get(h http.Handler, method, host, path string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "http://"+host+path, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

func TestHandler(t *testing.T) {
	h := Handler(sampleCollector(), Options{}, 0)
	for path, want := range map[string]string{
		"/metrics": "quietpatch_ipis_total{", "/json": `"self_ipis": 126`, "/folded": "chronyd;close", "/": "<!DOCTYPE html>",
	} {
		w := get(h, "GET", "127.0.0.1:9470", path)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, %v\n%s", path, w.Code, w.Header(), w.Body)
		}
	}
	if ct := get(h, "GET", "localhost", "/metrics").Header().Get("Content-Type"); ct != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("content type %q", ct)
	}
	if w := get(h, "GET", "localhost", "/other"); w.Code != http.StatusNotFound {
		t.Errorf("/other: %d", w.Code)
	}
	if w := get(h, "POST", "localhost", "/metrics"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	for host, code := range map[string]int{
		"localhost": 200, "localhost:80": 200, "127.0.0.9:80": 200, "[::1]:80": 200, "[::1]": 200,
		"evil.example:9470": 403, "192.0.2.1": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example:1": 403, "": 403,
	} {
		req := httptest.NewRequest("GET", "/metrics", nil)
		req.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != code {
			t.Errorf("host %q: %d, want %d", host, w.Code, code)
		}
	}
}

func TestListen(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1", "0.0.0.0:0", "192.0.2.1:1", "example.com:1", "[::]:0"} {
		if l, err := Listen(bad); err == nil {
			l.Close()
			t.Errorf("%q: no error", bad)
		}
	}
	for _, good := range []string{"127.0.0.1:0", ":0", "localhost:0"} {
		l, err := Listen(good)
		if err != nil {
			t.Errorf("%q: %v", good, err)
			continue
		}
		if host := l.Addr().String(); !strings.HasPrefix(host, "127.0.0.1:") {
			t.Errorf("%q: listens on %s", good, host)
		}
		l.Close()
	}
}
