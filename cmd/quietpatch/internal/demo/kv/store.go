package kv

import (
	"bytes"
	"compress/flate"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Names of the headers that tell the client what was recorded.
const (
	HeaderStages   = "X-Stages"   // how many stages were recorded
	HeaderDistinct = "X-Distinct" // how many different ones
	HeaderMissing  = "X-Missing"  // the mask of those that were not recorded, in hex
	HeaderToken    = "X-Token"    // sent by the client
)

// A Store serves documents. It is safe for use by many goroutines.
type Store struct {
	secret  []byte
	docs    []document
	shards  [numShards]shard
	tenants map[string]*tenant
	calls   sync.Pool
}

type tenant struct {
	name     string
	scopes   []string
	requests atomic.Uint64
	bytes    atomic.Uint64
}

// New returns a store filled with documents.
func New() (*Store, error) {
	if _, err := Key(); err != nil {
		return nil, fmt.Errorf("register the key %s: %w", KeyName, err)
	}
	s := &Store{
		secret:  []byte("the demo's signing key"),
		docs:    makeDocuments(),
		tenants: make(map[string]*tenant, numTenants),
	}
	for i := range numTenants {
		name := tenantName(i)
		s.tenants[name] = &tenant{name: name, scopes: []string{"list", "search"}}
	}
	for i := range s.shards {
		s.shards[i].init(cachePerShard)
	}
	s.calls.New = func() any { return newCall() }
	return s, nil
}

// A call is the state of one request.
type call struct {
	rec     record
	now     time.Time
	query   query
	auth    credentials
	tenant  *tenant
	shard   *shard
	plan    plan
	doc     *document
	words   analysis
	numbers numbers
	body    bytes.Buffer
	zip     *flate.Writer
	reply   reply
}

// A reply is what the headers of the response say beside the stages.
type reply struct {
	size          int
	etag          uint32
	maxAgeSeconds uint32
	took          time.Duration
}

func newCall() *call {
	c := new(call)
	// The level is in range, and that is the only error flate knows.
	c.zip, _ = flate.NewWriter(&c.body, flate.HuffmanOnly)
	c.words.init()
	return c
}

func (c *call) reset() {
	c.rec = record{}
	c.now = time.Now()
	c.query = query{}
	c.auth = credentials{}
	c.tenant, c.shard, c.doc = nil, nil, nil
	c.words.reset()
	c.body.Reset()
}

// ServeHTTP answers GET /v1/{tenant}/docs/{id}?q=words&fields=names.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.calls.Get().(*call)
	defer s.calls.Put(c)
	c.reset()
	if err := s.handle(c, r); err != nil {
		http.Error(w, err.Error(), err.status)
		return
	}
	c.writeHeader(w.Header())
	w.WriteHeader(http.StatusOK)
	// A client that went away is no fault of the store.
	_, _ = w.Write(c.body.Bytes())
}

func (s *Store) handle(c *call, r *http.Request) *failure {
	if err := c.parse(r); err != nil {
		return err
	}
	if err := c.authenticate(s.secret); err != nil {
		return err
	}
	if err := s.route(c); err != nil {
		return err
	}
	s.fetch(c)
	c.analyse()
	c.compute()
	return c.encode()
}

func (c *call) writeHeader(h http.Header) {
	h.Set("Content-Type", "application/json")
	h.Set("Content-Encoding", "deflate")
	h.Set("Content-Length", strconv.Itoa(c.reply.size))
	h.Set("ETag", strconv.FormatUint(uint64(c.reply.etag), 16))
	h.Set("Cache-Control", "max-age="+strconv.FormatUint(uint64(c.reply.maxAgeSeconds), 10))
	h.Set("Server-Timing", "store;dur="+strconv.FormatFloat(c.reply.took.Seconds()*1e3, 'f', 3, 64))
	h.Set(HeaderStages, strconv.Itoa(int(c.rec.count)))
	h.Set(HeaderDistinct, strconv.Itoa(c.rec.distinct()))
	all := uint64(1)<<numStages - 1
	h.Set(HeaderMissing, strconv.FormatUint(all&^c.rec.seen, 16))
}

// A failure is an error with its HTTP status.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

func fail(status int, format string, args ...any) *failure {
	return &failure{status: status, text: fmt.Sprintf(format, args...)}
}

// hasField reports whether the request asks for a field. No list means all.
func (q *query) hasField(name string) bool {
	if len(q.fields) == 0 {
		return true
	}
	for _, f := range q.fields {
		if strings.EqualFold(f, name) {
			return true
		}
	}
	return false
}
