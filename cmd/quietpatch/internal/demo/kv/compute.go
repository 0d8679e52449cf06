package kv

import (
	"crypto/sha256"
	"hash/crc32"
	"math"
)

// Numbers are facts about the text of a document.
type numbers struct {
	checksum  uint32
	digest    [sha256.Size]byte
	mean      float64
	deviation float64
	histogram [16]int
}

// compute fills in the numbers of the document that was analysed.
func (c *call) compute() {
	n := &c.numbers
	if stageStats.Enabled() {
		c.rec.add(stageChecksum)
	}
	n.checksum = crc32.ChecksumIEEE([]byte(c.words.text))

	if stageStats.Enabled() {
		c.rec.add(stageDigest)
	}
	n.digest = sha256.Sum256([]byte(c.words.text))

	if stageStats.Enabled() {
		c.rec.add(stageMean)
	}
	sum := 0
	for _, w := range c.words.words {
		sum += len(w)
	}
	n.mean = float64(sum) / float64(max(1, len(c.words.words)))

	if stageStats.Enabled() {
		c.rec.add(stageVariance)
	}
	squares := 0.0
	for _, w := range c.words.words {
		d := float64(len(w)) - n.mean
		squares += d * d
	}
	n.deviation = math.Sqrt(squares / float64(max(1, len(c.words.words))))

	if stageStats.Enabled() {
		c.rec.add(stageHistogram)
	}
	n.histogram = [16]int{}
	for _, w := range c.words.words {
		n.histogram[min(len(w), len(n.histogram)-1)]++
	}
}
