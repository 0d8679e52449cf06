package progress

import (
	"strings"
	"testing"
)

func TestWriter(t *testing.T) {
	var plain, term strings.Builder
	for _, p := range []Writer{{}, {W: &plain}, {W: &term, Terminal: true}} {
		p.Update("half")
		p.Line("row %d", 1)
		p.Clear()
	}
	if plain.String() != "row 1\n" {
		t.Errorf("plain: %q", plain.String())
	}
	if got := strings.ReplaceAll(term.String(), clearLine, "|"); got != "|half|row 1|" {
		t.Errorf("terminal: %q", got)
	}
}
