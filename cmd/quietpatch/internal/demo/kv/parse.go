package kv

import (
	"hash/fnv"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	maxPath  = 256
	maxQuery = 1024
	maxTerms = 8
)

// A query is what a request asks for.
type query struct {
	tenant    string
	verb      string
	docID     int
	terms     []string
	fields    []string
	token     string
	requestID uint64
}

// parse reads the request line, the parameters and the headers.
func (c *call) parse(r *http.Request) *failure {
	if stageStats.Enabled() {
		c.rec.add(stageMethod)
	}
	if r.Method != http.MethodGet {
		return fail(http.StatusMethodNotAllowed, "method %s: only GET is served", r.Method)
	}
	if err := c.parsePath(r.URL.Path); err != nil {
		return err
	}
	if err := c.parseQuery(r.URL.RawQuery); err != nil {
		return err
	}
	if stageStats.Enabled() {
		c.rec.add(stageHeaders)
	}
	c.query.token = r.Header.Get(HeaderToken)

	if stageStats.Enabled() {
		c.rec.add(stageRequestID)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.URL.RawQuery)) // never fails: hash.Hash
	_, _ = h.Write([]byte(c.query.token))
	c.query.requestID = h.Sum64()
	return nil
}

// parsePath splits /v1/{tenant}/{verb}/{id}.
func (c *call) parsePath(path string) *failure {
	if stageStats.Enabled() {
		c.rec.add(stagePath)
	}
	if len(path) > maxPath {
		return fail(http.StatusRequestURITooLong, "path of %d bytes: the limit is %d", len(path), maxPath)
	}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(parts) != 4 || parts[0] != "v1" {
		return fail(http.StatusNotFound, "path %q: want /v1/{tenant}/docs/{id}", path)
	}
	id, err := strconv.Atoi(parts[3])
	if err != nil {
		return fail(http.StatusNotFound, "document %q: want a number", parts[3])
	}
	c.query.tenant, c.query.verb, c.query.docID = parts[1], parts[2], id
	return nil
}

func (c *call) parseQuery(raw string) *failure {
	if stageStats.Enabled() {
		c.rec.add(stageQuerySplit)
	}
	if len(raw) > maxQuery {
		return fail(http.StatusRequestURITooLong, "query of %d bytes: the limit is %d", len(raw), maxQuery)
	}
	pairs := strings.Split(raw, "&")

	if stageStats.Enabled() {
		c.rec.add(stageQueryDecode)
	}
	for i, p := range pairs {
		text, err := url.QueryUnescape(p)
		if err != nil {
			return fail(http.StatusBadRequest, "query: %v", err)
		}
		pairs[i] = text
	}

	if stageStats.Enabled() {
		c.rec.add(stageParams)
	}
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		switch name {
		case "q":
			c.query.terms = strings.Fields(strings.ToLower(value))
		case "fields":
			c.query.fields = strings.Split(value, ",")
		}
	}

	if stageStats.Enabled() {
		c.rec.add(stageLimits)
	}
	if n := len(c.query.terms); n > maxTerms {
		return fail(http.StatusBadRequest, "%d search words: the limit is %d", n, maxTerms)
	}
	return nil
}
