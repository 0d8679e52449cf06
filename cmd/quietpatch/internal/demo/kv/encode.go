package kv

import (
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"net/http"
	"time"
)

// An answer is the JSON body of a response.
type answer struct {
	ID        int     `json:"id"`
	Version   uint32  `json:"version"`
	Request   uint64  `json:"request,string"`
	Title     string  `json:"title"`
	Author    string  `json:"author,omitempty"`
	Snippet   string  `json:"snippet,omitempty"`
	Hits      []hit   `json:"hits"`
	Terms     []term  `json:"terms"`
	Checksum  uint32  `json:"checksum"`
	Digest    string  `json:"digest"`
	Mean      float64 `json:"mean"`
	Deviation float64 `json:"deviation"`
	Histogram []int   `json:"histogram"`
}

// encode writes the answer, compressed, into the body.
func (c *call) encode() *failure {
	a := c.answer()
	if stageStats.Enabled() {
		c.rec.add(stageEncodeJSON)
	}
	text, err := json.Marshal(a)
	if err != nil {
		return fail(http.StatusInternalServerError, "encode document %d: %v", c.doc.id, err)
	}

	if stageStats.Enabled() {
		c.rec.add(stageCompress)
	}
	c.zip.Reset(&c.body)
	_, _ = c.zip.Write(text) // the writer below is memory; Close reports what is left

	if stageStats.Enabled() {
		c.rec.add(stageFlush)
	}
	if err := c.zip.Close(); err != nil {
		return fail(http.StatusInternalServerError, "compress document %d: %v", c.doc.id, err)
	}
	c.finish()
	return nil
}

func (c *call) answer() *answer {
	if stageStats.Enabled() {
		c.rec.add(stageEncodeMeta)
	}
	a := &answer{ID: c.doc.id, Version: c.doc.version, Request: c.query.requestID, Title: c.doc.title}
	if c.query.hasField("author") {
		a.Author = c.doc.author
	}

	if stageStats.Enabled() {
		c.rec.add(stageEncodeHits)
	}
	a.Hits = c.words.hits[:min(len(c.words.hits), c.plan.limit)]
	a.Snippet = c.words.snippet

	if stageStats.Enabled() {
		c.rec.add(stageEncodeTerms)
	}
	n := &c.numbers
	a.Terms, a.Checksum, a.Digest = c.words.terms, n.checksum, hex.EncodeToString(n.digest[:])
	a.Mean, a.Deviation, a.Histogram = n.mean, n.deviation, n.histogram[:]
	return a
}

// finish works out what the headers need. It holds the last checks, since the
// headers must be known before the body is sent.
func (c *call) finish() {
	if stageStats.Enabled() {
		c.rec.add(stageLength)
	}
	c.reply.size = c.body.Len()

	if stageStats.Enabled() {
		c.rec.add(stageETag)
	}
	c.reply.etag = crc32.ChecksumIEEE(c.body.Bytes())

	if stageStats.Enabled() {
		c.rec.add(stageCacheControl)
	}
	c.reply.maxAgeSeconds = 60 * c.doc.version

	if stageStats.Enabled() {
		c.rec.add(stageAccount)
	}
	c.tenant.bytes.Add(uint64(c.reply.size))

	if stageStats.Enabled() {
		c.rec.add(stageReply)
	}
	c.reply.took = time.Since(c.now)
}
