package kv

import (
	"fmt"
	"time"
)

// tokenLife is far above the length of a run.
const tokenLife = time.Hour

// A Request is what a client sends to a Store.
type Request struct {
	Path  string
	Query string
	Token string // the value of HeaderToken
}

// Requests returns n requests, all of which the store answers with 200.
func (s *Store) Requests(n int) []Request {
	expiry := time.Now().Add(tokenLife)
	requests := make([]Request, n)
	for i := range requests {
		tenant := tenantName(i % numTenants)
		requests[i] = Request{
			Path:  fmt.Sprintf("/v1/%s/docs/%d", tenant, i*i%numDocs),
			Query: fmt.Sprintf("q=cache+sync+%%70age+text&fields=title,author,snippet&n=%d", i),
			Token: s.token(tenant, expiry),
		}
	}
	return requests
}
