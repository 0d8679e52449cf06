package kv

import (
	"container/list"
	"hash/fnv"
	"strconv"
	"sync"
)

// A shard is one part of the cache of documents, least recently used out
// first.
type shard struct {
	mu      sync.Mutex
	entries map[uint64]*list.Element // values are *cached
	order   list.List                // front: used last
	limit   int
}

type cached struct {
	hash uint64
	doc  document
}

func (s *shard) init(limit int) {
	s.entries = make(map[uint64]*list.Element, limit)
	s.limit = limit
}

// fetch finds the document in the cache, or in the store behind it.
func (s *Store) fetch(c *call) {
	if stageStats.Enabled() {
		c.rec.add(stageCacheKey)
	}
	key := strconv.AppendInt(make([]byte, 0, 24), int64(c.query.docID), 10)

	if stageStats.Enabled() {
		c.rec.add(stageCacheHash)
	}
	h := fnv.New64a()
	_, _ = h.Write(key) // never fails: hash.Hash
	hash := h.Sum64()

	c.doc = c.lookup(hash)

	if stageStats.Enabled() {
		c.rec.add(stageFetch)
	}
	if c.doc == nil {
		c.doc = c.shard.insert(hash, s.docs[c.query.docID])
	}

	if stageStats.Enabled() {
		c.rec.add(stageVersion)
	}
	if c.doc.version != s.docs[c.query.docID].version {
		c.doc = &s.docs[c.query.docID]
	}
}

// lookup returns nil for a document that is not in the cache.
func (c *call) lookup(hash uint64) *document {
	if stageStats.Enabled() {
		c.rec.add(stageCacheLock)
	}
	c.shard.mu.Lock()

	if stageStats.Enabled() {
		c.rec.add(stageCacheLookup)
	}
	e, ok := c.shard.entries[hash]
	var doc *document

	if stageStats.Enabled() {
		c.rec.add(stageCacheTouch)
	}
	if ok {
		c.shard.order.MoveToFront(e)
		doc = &e.Value.(*cached).doc
	}

	if stageStats.Enabled() {
		c.rec.add(stageCacheUnlock)
	}
	c.shard.mu.Unlock()
	return doc
}

func (s *shard) insert(hash uint64, doc document) *document {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[hash]; ok { // another request was faster
		return &e.Value.(*cached).doc
	}
	if s.order.Len() >= s.limit {
		last := s.order.Back()
		delete(s.entries, last.Value.(*cached).hash)
		s.order.Remove(last)
	}
	entry := &cached{hash: hash, doc: doc}
	s.entries[hash] = s.order.PushFront(entry)
	return &entry.doc
}
