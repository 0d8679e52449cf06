package scale

import (
	"fmt"

	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/trap"
)

// Counts is what the protocol asks for in one flip.
type Counts struct {
	Syncs     int
	Compared  int // sites compared in step 0
	Published int // entries of all vectors
	Traps     int // pokes of step 2
	Tails     int // pokes of step 3
	Heads     int // pokes of step 4
	Stores    int // pokes of step S
	// Chunks is how many sites are trapped together, and how often a chunk of
	// that size comes.
	Chunks []Chunk
}

// Chunk is a group of sites that are trapped together.
type Chunk struct {
	Sites, Times int
}

// Pokes returns the number of writes to text.
func (c Counts) Pokes() int { return c.Traps + c.Tails + c.Heads + c.Stores }

// Count runs the protocol of the engine to its end, with the engine's size of
// the vector, and counts its effects. Nothing fails on the way. A flip of a
// Bool changes a byte behind the first one, so there is no shortcut for heads.
func Count(s protocol.Strategy, sites int) (Counts, error) {
	var c Counts
	m, err := protocol.New(protocol.Plan{Strategy: s, Sites: sites, VectorMax: trap.VectorMax})
	if err != nil {
		return c, err
	}
	for !m.Done() {
		c.add(m.Effect())
		m.Next(protocol.Result{})
	}
	if out := m.Outcome(); out.Err != nil {
		return c, fmt.Errorf("count %v, %d sites: expected no failure, found %w at step %v", s, sites, out.Err, out.Step)
	}
	return c, nil
}

func (c *Counts) add(e protocol.Effect) {
	n := e.To - e.From
	switch e.Step {
	case protocol.StepCheck:
		c.Compared += n
	case protocol.StepPublish:
		c.Published += n
		c.addChunk(n)
	case protocol.StepTrap:
		c.Traps += n
	case protocol.StepTail:
		c.Tails += n
	case protocol.StepHead:
		c.Heads += n
	case protocol.StepStore:
		c.Stores += n
	}
	if e.Step.Sync() {
		c.Syncs++
	}
}

func (c *Counts) addChunk(n int) {
	if last := len(c.Chunks) - 1; last >= 0 && c.Chunks[last].Sites == n {
		c.Chunks[last].Times++
		return
	}
	c.Chunks = append(c.Chunks, Chunk{Sites: n, Times: 1})
}
