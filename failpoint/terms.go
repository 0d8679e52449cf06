package failpoint

import (
	"strconv"
	"strings"
	"time"
)

// action is what a term does.
type action string

const (
	actOff    action = "off"
	actReturn action = "return"
	actSleep  action = "sleep"
	actPanic  action = "panic"
	actPrint  action = "print"
	actPause  action = "pause"
	actBreak  action = "break" // known, to say why not
)

// modifier allows a term by chance or as often as it says.
type modifier struct {
	isCount bool
	chance  float64 // from 0 to 1, if not isCount
	percent string  // the chance as it was written
	count   int
	left    int // of count; changed under program.mu
}

// term is one link of a chain.
type term struct {
	mods  []modifier
	act   action
	value any // string, int, bool; nil if there is none. A duration for sleep.
}

// String is the canonical form, which parses to the same terms again.
func (t *term) String() string {
	var b strings.Builder
	for _, m := range t.mods {
		if m.isCount {
			b.WriteString(strconv.Itoa(m.count) + "*")
		} else {
			b.WriteString(m.percent + "%")
		}
	}
	b.WriteString(string(t.act))
	switch v := t.value.(type) {
	case string:
		b.WriteString("(" + strconv.Quote(v) + ")")
	case int:
		b.WriteString("(" + strconv.Itoa(v) + ")")
	case bool:
		b.WriteString("(" + strconv.FormatBool(v) + ")")
	case time.Duration:
		b.WriteString("(" + strconv.Quote(v.String()) + ")")
	}
	return b.String()
}

// chain is the terms of a point.
type chain []term

func (c chain) String() string {
	parts := make([]string, len(c))
	for i := range c {
		parts[i] = c[i].String()
	}
	return strings.Join(parts, "->")
}

// setting is one entry of a list: a point and its terms.
type setting struct {
	name, text string // text as it was written
	terms      chain
}
