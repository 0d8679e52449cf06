package ipireport

import (
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// pending is what has happened in steps that were not shown yet.
type pending struct {
	from, to time.Duration
	rows     map[ipi.Key]*ipi.Row
	lost     uint64
	meta     Meta
}

func (p *pending) add(s Step, m Meta) {
	if p.rows == nil {
		p.rows, p.from = map[ipi.Key]*ipi.Row{}, s.From
	}
	p.to, p.meta = s.To, m
	increase(&p.lost, s.Lost)
	for i := range s.Rows {
		r := s.Rows[i]
		if sum, ok := p.rows[r.Key]; ok {
			increase(&sum.IPIs, r.IPIs)
			increase(&sum.Queued, r.Queued)
			increase(&sum.CostNS, r.CostNS)
		} else {
			p.rows[r.Key] = &r
		}
	}
}

// step returns all of it, and begins anew.
func (p *pending) step() Step {
	s := Step{From: p.from, To: p.to, Lost: p.lost}
	for _, r := range p.rows {
		s.Rows = append(s.Rows, *r)
	}
	*p = pending{}
	return s
}
