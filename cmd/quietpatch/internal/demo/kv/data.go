package kv

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// The sizes are those of a small service: the documents outnumber the cache,
// so that both hits and misses happen, and a request takes tens of us.
const (
	numDocs       = 512
	numTenants    = 4
	numShards     = 8
	cachePerShard = 40
	wordsPerDoc   = 120
)

const vocabulary = "address batch branch byte cache call check clock code core counter cpu data defer " +
	"engine entry event fetch flag flip flow form frame handler hold interrupt jump kernel key latch line load lock " +
	"loop map mask memory mode mutex order page patch path pause pipe poke port probe process queue read record " +
	"register request ring route scan server shard signal site slot stack stage state step store strategy switch " +
	"sync table task text thread tick timer token trace trap value vector wait watch word work write the and of to"

// A document is what the store keeps: fields of text under an identifier.
type document struct {
	id      int
	version uint32
	title   string
	author  string
	body    string
}

// makeDocuments returns the same documents on every run, so that runs can be
// compared.
func makeDocuments() []document {
	rng := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields(vocabulary)
	docs := make([]document, numDocs)
	for i := range docs {
		docs[i] = document{
			id:      i,
			version: rng.Uint32N(9) + 1,
			title:   sentence(rng, words, 4),
			author:  fmt.Sprintf("author-%d", rng.IntN(40)),
			body:    sentence(rng, words, wordsPerDoc),
		}
	}
	return docs
}

func sentence(rng *rand.Rand, words []string, n int) string {
	var b strings.Builder
	for i := range n {
		w := words[rng.IntN(len(words))]
		switch {
		case i%12 == 0 && i > 0:
			b.WriteString(". ")
			w = strings.ToUpper(w[:1]) + w[1:]
		case i > 0:
			b.WriteByte(' ')
		}
		b.WriteString(w)
	}
	b.WriteByte('.')
	return b.String()
}

func tenantName(i int) string { return fmt.Sprintf("tenant-%d", i) }
