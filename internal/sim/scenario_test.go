package sim

import (
	"os"
	"strings"
	"testing"
)

// TestScenarios: each happens, ends as its kind says, and is drawn in the docs.
func TestScenarios(t *testing.T) {
	doc, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range Scenarios() {
		if seen[s.Letter] || seen[s.Name] {
			t.Errorf("%s or %s is taken", s.Letter, s.Name)
		}
		seen[s.Letter], seen[s.Name] = true, true
		r, err := s.Run()
		if err != nil {
			t.Error(err)
			continue
		}
		if s.Wrong() != (r.Violation.By != "") || s.Wrong() != (s.Want == NoEvent) {
			t.Errorf("%s: wrong %v, ends with %q", s.Letter, s.Wrong(), r.Violation.By)
		}
		t.Logf("%s: %s\n%s", s.Letter, s.Title, r.Violation.Trace.Columns(44))
		if !strings.Contains(string(doc), "\n### "+s.Letter+". ") {
			t.Errorf("docs/PROTOCOL.md has no heading for scenario %s", s.Letter)
		}
	}
	for _, name := range []string{"e", "late-trap"} {
		if s, err := FindScenario(name); err != nil || s.Letter != "E" {
			t.Errorf("%q: %+v, %v", name, s, err)
		}
	}
	if _, err := FindScenario("nonsense"); err == nil || !strings.Contains(err.Error(), "late-trap") {
		t.Errorf("nonsense: %v", err)
	}
}
