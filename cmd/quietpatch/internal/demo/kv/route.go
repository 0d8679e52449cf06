package kv

import (
	"net/http"
	"slices"
)

// A plan is what the analysis of a document has to do.
type plan struct {
	search  bool
	snippet bool
	limit   int
}

// route finds the tenant, the shard and the plan of a request.
func (s *Store) route(c *call) *failure {
	if stageStats.Enabled() {
		c.rec.add(stageRouteMatch)
	}
	if c.query.verb != "docs" {
		return fail(http.StatusNotFound, "no route for %q: want docs", c.query.verb)
	}
	if c.query.docID < 0 || c.query.docID >= len(s.docs) {
		return fail(http.StatusNotFound, "document %d: the store has 0 to %d", c.query.docID, len(s.docs)-1)
	}

	if err := s.admit(c); err != nil {
		return err
	}

	if stageStats.Enabled() {
		c.rec.add(stageShard)
	}
	c.shard = &s.shards[c.query.docID%numShards]

	if stageStats.Enabled() {
		c.rec.add(stagePlan)
	}
	c.plan = plan{search: len(c.query.terms) > 0, snippet: c.query.hasField("snippet"), limit: 10}
	return nil
}

// admit finds the tenant and checks what it may do.
func (s *Store) admit(c *call) *failure {
	if stageStats.Enabled() {
		c.rec.add(stageTenant)
	}
	t, ok := s.tenants[c.query.tenant]
	if !ok {
		return fail(http.StatusNotFound, "tenant %q is not known", c.query.tenant)
	}
	c.tenant = t

	if stageStats.Enabled() {
		c.rec.add(stageACL)
	}
	if !slices.Contains(t.scopes, c.auth.scope) {
		return fail(http.StatusForbidden, "scope %q is not granted to %s", c.auth.scope, t.name)
	}

	if stageStats.Enabled() {
		c.rec.add(stageQuota)
	}
	t.requests.Add(1)
	return nil
}
