package kv

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// setKey sets the key of the stage statistics until the test ends.
func setKey(t *testing.T, on bool) {
	t.Helper()
	key, err := Key()
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Set(on); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := key.Set(false); err != nil {
			t.Error(err)
		}
	})
}

func get(s *Store, r Request) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodGet, r.Path+"?"+r.Query, nil)
	req.Header.Set(HeaderToken, r.Token)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	return w
}

func TestEveryStageOnceOrNever(t *testing.T) {
	all := strconv.FormatUint(1<<numStages-1, 16)
	for _, tc := range []struct {
		on       bool
		distinct string
		missing  string
	}{
		{false, "0", all},
		{true, strconv.Itoa(StageCount), "0"},
	} {
		t.Run(fmt.Sprintf("on=%v", tc.on), func(t *testing.T) {
			setKey(t, tc.on)
			s := newStore(t)
			for _, r := range s.Requests(700) {
				h := get(s, r).Header()
				if h.Get(HeaderStages) != tc.distinct || h.Get(HeaderDistinct) != tc.distinct || h.Get(HeaderMissing) != tc.missing {
					t.Fatalf("GET %s: %s stages, %s distinct, missing %s; want %s and missing %s", r.Path,
						h.Get(HeaderStages), h.Get(HeaderDistinct), h.Get(HeaderMissing), tc.distinct, tc.missing)
				}
			}
		})
	}
}

func TestStageCount(t *testing.T) {
	if StageCount < 56 {
		t.Errorf("%d stages, want at least 56", StageCount)
	}
	if numStages > 64 {
		t.Errorf("%d stages do not fit into the mask of a record", numStages)
	}
}

func TestAnswer(t *testing.T) {
	s := newStore(t)
	for i, r := range s.Requests(40) {
		w := get(s, r)
		if w.Code != http.StatusOK {
			t.Fatalf("GET %s: %d %s", r.Path, w.Code, w.Body)
		}
		sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(w.Body.Bytes())), 16)
		if w.Header().Get("ETag") != sum {
			t.Errorf("GET %s: ETag %s, the body has %s", r.Path, w.Header().Get("ETag"), sum)
		}
		text, err := io.ReadAll(flate.NewReader(w.Body))
		if err != nil {
			t.Fatal(err)
		}
		var a answer
		if err := json.Unmarshal(text, &a); err != nil {
			t.Fatalf("GET %s: %v in %s", r.Path, err, text)
		}
		doc := s.docs[i*i%numDocs]
		if a.ID != doc.id || a.Title != doc.title || a.Checksum != crc32.ChecksumIEEE([]byte(doc.title+" "+doc.body)) {
			t.Errorf("GET %s: answer %+v is not of document %+v", r.Path, a, doc)
		}
		for _, h := range a.Hits {
			if !strings.Contains("cache sync page text", h.Word) {
				t.Errorf("GET %s: hit %q was not asked for", r.Path, h.Word)
			}
		}
	}
}

// What a request answers must not depend on the key, or on what the cache and
// the pooled calls held before.
func TestAnswerIsTheSameEveryTime(t *testing.T) {
	s := newStore(t)
	requests := s.Requests(numDocs)
	var first [][]byte
	for _, r := range requests {
		first = append(first, bytes.Clone(get(s, r).Body.Bytes()))
	}
	setKey(t, true)
	for i, r := range requests {
		if got := get(s, r).Body.Bytes(); !bytes.Equal(got, first[i]) {
			t.Fatalf("GET %s: the second answer differs from the first", r.Path)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := newStore(t)
	good := s.Requests(1)[0]
	expired := s.token("tenant-0", time.Now().Add(-time.Minute))
	signed := "tenant-0.admin." + strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	admin := signed + "." + hex.EncodeToString(sign(s.secret, signed))
	for name, tc := range map[string]struct {
		change func(r *Request)
		want   int
	}{
		"good":          {func(*Request) {}, http.StatusOK},
		"path":          {func(r *Request) { r.Path = "/v2/x" }, http.StatusNotFound},
		"long path":     {func(r *Request) { r.Path = "/" + strings.Repeat("x", maxPath) }, http.StatusRequestURITooLong},
		"verb":          {func(r *Request) { r.Path = "/v1/tenant-0/books/1" }, http.StatusNotFound},
		"document":      {func(r *Request) { r.Path = "/v1/tenant-0/docs/512" }, http.StatusNotFound},
		"negative":      {func(r *Request) { r.Path = "/v1/tenant-0/docs/-1" }, http.StatusNotFound},
		"no number":     {func(r *Request) { r.Path = "/v1/tenant-0/docs/one" }, http.StatusNotFound},
		"long query":    {func(r *Request) { r.Query = strings.Repeat("x", maxQuery+1) }, http.StatusRequestURITooLong},
		"bad query":     {func(r *Request) { r.Query = "q=%zz" }, http.StatusBadRequest},
		"words":         {func(r *Request) { r.Query = "q=a+b+c+d+e+f+g+h+i" }, http.StatusBadRequest},
		"no token":      {func(r *Request) { r.Token = "" }, http.StatusUnauthorized},
		"short token":   {func(r *Request) { r.Token = "a.b" }, http.StatusUnauthorized},
		"no hex":        {func(r *Request) { r.Token = "a.b.c.xyz" }, http.StatusUnauthorized},
		"expired":       {func(r *Request) { r.Token = expired }, http.StatusUnauthorized},
		"forged":        {func(r *Request) { r.Token = strings.Replace(r.Token, ".search.", ".admin.", 1) }, http.StatusUnauthorized},
		"other tenant":  {func(r *Request) { r.Path = "/v1/tenant-1/docs/1" }, http.StatusForbidden},
		"unknown scope": {func(r *Request) { r.Token = admin }, http.StatusForbidden},
	} {
		r := good
		tc.change(&r)
		if w := get(s, r); w.Code != tc.want {
			t.Errorf("%s: status %d (%s), want %d", name, w.Code, bytes.TrimSpace(w.Body.Bytes()), tc.want)
		}
	}
}

func TestCacheDropsLeastRecentlyUsed(t *testing.T) {
	var s shard
	s.init(2)
	c := &call{shard: &s}
	s.insert(1, document{id: 1})
	s.insert(2, document{id: 2})
	if c.lookup(1) == nil { // 2 is now the one used longest ago
		t.Fatal("document 1 is not in the cache")
	}
	s.insert(3, document{id: 3})
	for hash, want := range map[uint64]bool{1: true, 2: false, 3: true} {
		if got := c.lookup(hash) != nil; got != want {
			t.Errorf("document %d in the cache: %v, want %v", hash, got, want)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	s, err := New()
	if err != nil {
		b.Fatal(err)
	}
	requests := s.Requests(997)
	for i := 0; b.Loop(); i++ {
		get(s, requests[i%len(requests)])
	}
}
