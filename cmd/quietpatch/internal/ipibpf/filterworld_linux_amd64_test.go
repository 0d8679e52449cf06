package ipibpf

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipinames"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// The kernel of these tests: g stands at two places, and h has two names.
const (
	addrF       = 0x1000
	addrG       = 0xffffffff81002000
	addrH       = 0xffffffff81003000
	addrG2      = 0xffffffff81004000
	addrFlush   = 0xffffffff81005000
	addrHandler = 0xffffffff81006000
)

func worldSymbols() *kallsyms.Table {
	text := fmt.Sprintf("%x T f\n%x T g\n%x T h\n%x T alias\n%x T g\n%x t %s.cold\n%x T %s\n",
		addrF, uint64(addrG), uint64(addrH), uint64(addrH), uint64(addrG2), uint64(addrFlush), flushFunction, uint64(addrHandler), ipinames.CallHandler)
	s, err := kallsyms.Parse(strings.NewReader(text))
	if err != nil {
		panic(err)
	}
	return s
}

// sent is what the kernel's side sees of an IPI or a call.
type sent struct {
	key    rawKey
	sender int
	mask   ipi.CPUs // nil: for one
}

// record is the same for the filter.
func (e *sent) record(t *Tracer) *ipifilter.Record {
	r := t.record(&e.key)
	r.CPU, r.Mask = e.sender, e.mask
	return r
}

func (e *sent) String() string { return fmt.Sprintf("%+v from %d to %v", e.key, e.sender, e.mask) }

// world returns all kinds of events among some CPUs.
func world(cpus int) (list []sent) {
	masks := []ipi.CPUs{nil}
	for b := range uint64(1) << cpus {
		if b != 0 {
			masks = append(masks, ipi.CPUs{b})
		}
	}
	whats := []rawKey{
		{Func: addrF},
		{Func: addrG},
		{Func: addrG2},
		{Func: addrH},
		{Func: addrFlush},
		{Func: 0x77},
		{},
		{Kind: kindResched},
		{Kind: kindIRQWork},
	}
	for i, who := range []rawOrigin{
		{TID: 1, TGID: 1, Thread: name16("bash"), Comm: name16("bash")},
		{TID: 2, TGID: 1, Thread: name16("fifteen bytes s"), Comm: name16("bash")},
		{TID: 3, TGID: 3, Thread: name16("b"), Comm: name16("eight by")},
		{NR: -1, Context: inTimer},
	} {
		for j, key := range whats {
			key.Origin = who
			for sender := range cpus {
				mask := masks[(i+j*3+sender*5+len(list))%len(masks)]
				for target := range cpus {
					if mask != nil && !mask.Has(target) {
						continue
					}
					key.CPU = uint32(target)
					list = append(list, sent{key, sender, mask})
				}
			}
		}
	}
	return list
}

// filters makes random ones.
type filters struct {
	*rand.Rand
	cpus int
}

func (g filters) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g filters) set() string {
	set := ipi.CPUs(nil)
	for set == nil {
		for cpu := range g.cpus {
			if g.IntN(2) == 0 {
				set = set.With(cpu)
			}
		}
	}
	return set.String()
}

func (g filters) comparison() string {
	eq := g.pick("==", "!=")
	order := g.pick("==", "!=", "<", "<=", ">", ">=")
	switch g.IntN(13) {
	case 0, 1:
		return fmt.Sprintf("cpumask %s CPUS{%s}", g.pick("==", "!=", "&"), g.set())
	case 2:
		return fmt.Sprintf("cpu %s CPUS{%s}", g.pick("==", "!=", "&"), g.set())
	case 3:
		return fmt.Sprintf("CPU %s CPUS{%s}", g.pick("==", "!=", "&"), g.set())
	case 4:
		return fmt.Sprintf("cpu %s %d", g.pick(order, "&"), g.IntN(g.cpus+1))
	case 5:
		return fmt.Sprintf("CPU %s %d", order, g.IntN(g.cpus+2)-1)
	case 6:
		return fmt.Sprintf("pid %s %d", g.pick(order, "&", "=="), g.IntN(5)-1)
	case 7:
		return fmt.Sprintf("tgid %s %d", g.pick(order, "==", "&"), g.IntN(5)-1)
	case 8:
		return fmt.Sprintf(`comm %s "%s"`, eq, g.pick("bash", "b", "", "fifteen bytes s", "sixteen bytes it", "eight by"))
	case 9:
		return fmt.Sprintf(`process %s "%s"`, eq, g.pick("bash", "eight by", "eight bx", ""))
	case 10:
		return fmt.Sprintf(`cause %s "%s"`, eq, g.pick("f", "g", "h", flushFunction, ""))
	case 11:
		return fmt.Sprintf("func %s %#x", g.pick(order, "&"), []uint64{0, addrF, addrG, addrG2, 1 << 63, 1}[g.IntN(6)])
	}
	return g.pick("callback == 0", "callback != 0", "callback > 0xffffffff81000000", "callback & 1", "callback.function "+eq+" "+ipinames.CallHandler,
		"callback.function "+eq+` ""`, "callback.function "+eq+" f", "kind "+eq+" "+g.pick("call", "tlb", "resched", "irq_work", "other"))
}

func (g filters) expr(depth int) string {
	if depth == 0 || g.IntN(4) == 0 {
		return g.comparison()
	}
	switch a, b := g.expr(depth-1), g.expr(depth-1); g.IntN(5) {
	case 0, 1:
		return a + " && " + b
	case 2:
		return a + " || " + b
	case 3:
		return "(" + a + " || " + b + ")"
	default:
		return "!(" + a + ")"
	}
}

// twin is what ipi.bpf.c does with a program.
type twin struct{ program }

func (p twin) passes(e *sent) bool {
	at := 0
	for at < len(p.steps) {
		if s := &p.steps[at]; p.holds(s, e) == (s.When == 1) {
			at = int(s.Target)
		} else {
			at++
		}
	}
	return at == len(p.steps)
}

func (p twin) holds(s *rawStep, e *sent) bool {
	o := &e.key.Origin
	switch s.Field {
	case fieldThread, fieldComm:
		name := o.Thread
		if s.Field == fieldComm {
			name = o.Comm
		}
		var b [nameSize]byte
		for i := range b {
			b[i] = byte(s.Value[i/8] >> (i % 8 * 8))
		}
		return (name == b) == (ipifilter.Op(s.Op) == ipifilter.EQ)
	case fieldCPUIn:
		return p.sets[s.Set].Has(int(e.key.CPU))
	case fieldSenderIn:
		return p.sets[s.Set].Has(e.sender)
	case fieldMask:
		mask := e.mask
		if mask == nil {
			mask = ipi.MakeCPUs(int(e.key.CPU))
		}
		switch set := p.sets[s.Set]; ipifilter.Op(s.Op) {
		case ipifilter.EQ:
			return mask.Equal(set)
		case ipifilter.NE:
			return !mask.Equal(set)
		default:
			return mask.Intersects(set)
		}
	}
	v := map[uint8]int64{
		fieldCPU: int64(e.key.CPU), fieldSender: int64(e.sender), fieldTID: int64(int32(o.TID)), fieldTGID: int64(int32(o.TGID)),
		fieldKind: int64(e.key.Kind), fieldFunc: int64(e.key.Func),
	}[s.Field]
	with := int64(s.Value[0])
	op := ipifilter.Op(s.Op)
	if s.Field == fieldFunc && ipifilter.LE <= op && op <= ipifilter.GT {
		return compare(op, e.key.Func, s.Value[0]^1<<63)
	}
	switch op {
	case ipifilter.LE:
		return v <= with
	case ipifilter.LT:
		return v < with
	case ipifilter.GE:
		return v >= with
	case ipifilter.GT:
		return v > with
	}
	return compare(op, uint64(v), s.Value[0])
}
