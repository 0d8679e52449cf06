package failpoint

import (
	"errors"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// syntaxCase is a line of testdata/syntax.tsv.
type syntaxCase struct{ ours, text, canonical string }

func syntaxCases(t testing.TB) []syntaxCase {
	t.Helper()
	b, err := os.ReadFile("testdata/syntax.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var out []syntaxCase
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) < 4 || len(f) > 5 {
			t.Fatalf("testdata/syntax.tsv: %q has %d columns", line, len(f))
		}
		out = append(out, syntaxCase{f[2], f[3], f[len(f)-1]})
	}
	if len(out) < 80 {
		t.Fatalf("testdata/syntax.tsv has %d cases", len(out))
	}
	return out
}

func TestSyntaxOfThePeers(t *testing.T) {
	for _, tt := range syntaxCases(t) {
		c, err := parseTerms(tt.text)
		if tt.ours == "ok" {
			if err != nil {
				t.Errorf("%q: %v", tt.text, err)
			} else if c.String() != tt.canonical {
				t.Errorf("%q: got %s, expected %s", tt.text, c, tt.canonical)
			}
			continue
		}
		pos, _ := strconv.Atoi(tt.ours)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q: got %v, %v, expected a syntax error", tt.text, c, err)
		} else if syntax.Pos != pos || syntax.Text != tt.text || syntax.Expected == "" {
			t.Errorf("%q: %v; expected position %d", tt.text, err, pos)
		}
	}
}

func TestSyntaxErrorText(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"1*return(1)->retrun(5)", `failpoint: "1*return(1)->retrun(5)" at position 13: expected off, return, sleep, panic, print or pause, found "retrun(5)"`},
		{"return(1", `failpoint: "return(1" at position 8: expected ")", found the end`},
		{"25return", `failpoint: "25return" at position 2: expected "%" or "*" after the number 25, found "return"`},
		{"off,off,off,off,off,off,off,off", `failpoint: "off,off,off,off,off,off,off,off" at position 3: expected "->" or the end, found ",off,off,off,off,off,off"...`},
	} {
		if _, err := parseTerms(tt.text); err == nil || err.Error() != tt.want {
			t.Errorf("%q:\ngot      %v\nexpected %s", tt.text, err, tt.want)
		}
	}
}

func TestList(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string // name, text of the terms
		pos  int      // of the error, if there is no want
	}{
		// gofail, runtime/runtime_test.go.
		{"failpoint1=print", []string{"failpoint1", "print"}, 0},
		{"failpoint1=print;failpoint2=sleep(10)", []string{"failpoint1", "print", "failpoint2", "sleep(10)"}, 0},
		{"", []string{}, 0},
		{";;failpoint1=print;failpoint2=sleep(10)", []string{"failpoint1", "print", "failpoint2", "sleep(10)"}, 0},
		{"failpoint1=print;failpoint2=sleep(10);;", []string{"failpoint1", "print", "failpoint2", "sleep(10)"}, 0},
		{"failpoint1=print;;;failpoint2=sleep(10)", []string{"failpoint1", "print", "failpoint2", "sleep(10)"}, 0},
		{"failpoint1", nil, 10},
		{"failpoint1=print;failpoint2", nil, 27},
		{"failpoint1=print_failpoint2=sleep(10)", nil, 16},
		// pingcap/failpoint, README.md.
		{"github.com/pingcap/tidb/ddl/x=return(true)", []string{"github.com/pingcap/tidb/ddl/x", "return(true)"}, 0},
		// The others split at every ';' and '='.
		{`a=return("x=1;y");b=1*return(` + "`;`" + `)->off`, []string{"a", `return("x=1;y")`, "b", "1*return(`;`)->off"}, 0},
		{"a=", nil, 2},
		{"a=;b=off", nil, 2},
		{"=off", nil, 0},
		{"a b=off", nil, 1},
		{"a=off b=off", nil, 5},
		{"a=sleep(10;b=off", nil, 10},
	} {
		got, err := parseList(tt.text)
		if tt.want == nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Pos != tt.pos || got != nil {
				t.Errorf("%q: got %v, %v, expected an error at position %d", tt.text, got, err, tt.pos)
			}
			continue
		}
		flat := []string{}
		for _, s := range got {
			flat = append(flat, s.name, s.text)
		}
		if err != nil || !reflect.DeepEqual(flat, tt.want) {
			t.Errorf("%q: got %q, %v, expected %q", tt.text, flat, err, tt.want)
		}
	}
}

// FuzzTerms: the parser never panics, errors are inside the text, and the
// canonical form means the same.
func FuzzTerms(f *testing.F) {
	for _, tt := range syntaxCases(f) {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseTerms(text)
		var syntax *SyntaxError
		switch {
		case errors.As(err, &syntax):
			if syntax.Pos < 0 || syntax.Pos > len(text) || err.Error() == "" {
				t.Fatalf("%q: position %d", text, syntax.Pos)
			}
		case err != nil:
			t.Fatalf("%q: %v is no syntax error", text, err)
		default:
			again, err := parseTerms(c.String())
			if err != nil || !reflect.DeepEqual(c, again) || c.String() != again.String() {
				t.Fatalf("%q: %s, and again %s, %v", text, c, again, err)
			}
			// What is terms alone is terms in a list.
			list, err := parseList("a=" + text + ";b=off")
			if err != nil || len(list) != 2 || list[0].text != text || !reflect.DeepEqual(list[0].terms, c) {
				t.Fatalf("%q in a list: %v, %v", text, list, err)
			}
		}
		if list, err := parseList(text); err != nil && (list != nil || !errors.As(err, &syntax)) {
			t.Fatalf("%q as a list: %v, %v", text, list, err)
		}
	})
}
