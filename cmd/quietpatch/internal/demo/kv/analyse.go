package kv

import (
	"cmp"
	"slices"
	"strings"
)

// An analysis holds the words of a document and how they match the query. Its
// memory is used again by the next request.
type analysis struct {
	text    string
	words   []string
	counts  map[string]int
	terms   []term
	hits    []hit
	snippet string
}

type term struct {
	Word  string `json:"word"`
	Count int    `json:"count"`
}

type hit struct {
	Word  string  `json:"word"`
	At    int     `json:"at"`
	Score float64 `json:"score"`
}

func (a *analysis) init() { a.counts = make(map[string]int, wordsPerDoc) }

func (a *analysis) reset() {
	a.text, a.snippet = "", ""
	a.words, a.terms, a.hits = a.words[:0], a.terms[:0], a.hits[:0]
	clear(a.counts)
}

// analyse splits the document into words, counts them and matches them with
// the query.
func (c *call) analyse() {
	if stageStats.Enabled() {
		c.rec.add(stageFields)
	}
	a := &c.words
	a.text = c.doc.body
	if c.query.hasField("title") {
		a.text = c.doc.title + " " + a.text
	}
	c.split()
	c.match()

	if stageStats.Enabled() {
		c.rec.add(stageSnippet)
	}
	if c.plan.snippet {
		a.snippet = a.text[:min(len(a.text), 80)]
	}

	if stageStats.Enabled() {
		c.rec.add(stageHighlight)
	}
	for _, h := range a.hits[:min(len(a.hits), 2)] {
		a.snippet = strings.ReplaceAll(a.snippet, h.Word, "<b>"+h.Word+"</b>")
	}
}

func (c *call) split() {
	a := &c.words
	if stageStats.Enabled() {
		c.rec.add(stageTokenise)
	}
	for w := range strings.FieldsSeq(a.text) {
		a.words = append(a.words, w)
	}

	if stageStats.Enabled() {
		c.rec.add(stageFold)
	}
	for i, w := range a.words {
		a.words[i] = strings.ToLower(strings.Trim(w, ".,"))
	}

	if stageStats.Enabled() {
		c.rec.add(stageStop)
	}
	a.words = slices.DeleteFunc(a.words, func(w string) bool {
		return w == "the" || w == "and" || w == "of" || w == "to"
	})

	if stageStats.Enabled() {
		c.rec.add(stageStem)
	}
	for i, w := range a.words {
		a.words[i] = strings.TrimSuffix(w, "s")
	}

	if stageStats.Enabled() {
		c.rec.add(stageCount)
	}
	for _, w := range a.words {
		a.counts[w]++
	}
}

func (c *call) match() {
	a := &c.words
	if stageStats.Enabled() {
		c.rec.add(stageMatch)
	}
	for i, w := range a.words {
		if c.plan.search && slices.Contains(c.query.terms, w) {
			a.hits = append(a.hits, hit{Word: w, At: i})
		}
	}

	if stageStats.Enabled() {
		c.rec.add(stageScore)
	}
	for i := range a.hits {
		a.hits[i].Score = float64(a.counts[a.hits[i].Word]) / float64(1+a.hits[i].At)
	}

	if stageStats.Enabled() {
		c.rec.add(stageRank)
	}
	slices.SortFunc(a.hits, func(x, y hit) int { return cmp.Compare(y.Score, x.Score) })
	for w, n := range a.counts {
		a.terms = append(a.terms, term{Word: w, Count: n})
	}
	slices.SortFunc(a.terms, func(x, y term) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), strings.Compare(x.Word, y.Word))
	})
	a.terms = a.terms[:min(len(a.terms), c.plan.limit)]
}
