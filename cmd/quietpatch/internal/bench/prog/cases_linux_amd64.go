package prog

import "sync/atomic"

// neighbourless is what the other CPU writes to where there is no switch.
var neighbourless atomic.Uint64

// result subtracts the loop from every case, and names those that other programs
// have left no time for.
func (b *bench) result() (out []Check, missing []string) {
	for _, c := range contenders() {
		for _, state := range []string{hot, evicted, cold, bounced} {
			for count := range checkCounts {
				name := caseName(c.name, state, count)
				own, loop := b.times[name], b.times[caseName("const", state, count)]
				if enough(own) && enough(loop) {
					out = append(out, check(name, own, loop))
				} else {
					missing = append(missing, name)
				}
			}
		}
	}
	return out, missing
}

const samplesLeast = 20

func enough(s *[2]samples) bool {
	return s != nil && len(s[0]) >= samplesLeast && len(s[1]) >= samplesLeast
}

func check(name string, own, loop *[2]samples) Check {
	off, on := loop[0].middle(), loop[1].middle()
	return Check{
		Case:    name,
		OffNS:   round3(own[0].middle() - off),
		OnNS:    round3(own[1].middle() - on),
		OffIQR:  round3(own[0].iqr()),
		OnIQR:   round3(own[1].iqr()),
		LoopOff: round3(off),
		LoopOn:  round3(on),
	}
}
