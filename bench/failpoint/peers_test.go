package bench

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	pingcap "github.com/pingcap/failpoint"
	gofail "go.etcd.io/gofail/runtime"

	"github.com/quietpatch/quietpatch/failpoint"
)

// quiet sends what the peers print elsewhere.
func quiet(t *testing.T) {
	stdout := os.Stdout
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout = null
	t.Cleanup(func() { os.Stdout = stdout; null.Close() })
}

// TestPeersSyntax checks what testdata/syntax.tsv says of the two peers, and, the
// other way round, that terms which both accept and which make sense are ours, too.
func TestPeersSyntax(t *testing.T) {
	quiet(t)
	b, err := os.ReadFile("../../failpoint/testdata/syntax.tsv")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		text := f[3]
		for i, enable := range []func(string) error{
			func(s string) error { return gofail.Enable("point", s) },
			func(s string) error { return pingcap.Enable("syntax", s) },
		} {
			got := outcome(enable, text)
			if got != f[i] && (got != "ok" || f[i] != "lost") {
				t.Errorf("column %d of %q: the table has %s, the peer %s", i, text, f[i], got)
			}
		}
		err := failpoint.Enable(oursName, text)
		if (err == nil) != (f[2] == "ok") {
			t.Errorf("ours of %q: the table has %s, found %v", text, f[2], err)
		}
		cases++
	}
	if cases < 80 {
		t.Errorf("%d cases", cases)
	}
	setAll(t, "off")
	clearAll(t)
}

// outcome is a word of the table. "lost" is not to be seen from here.
func outcome(enable func(string) error, text string) (word string) {
	defer func() {
		if recover() != nil {
			word = "crash"
		}
	}()
	if enable(text) != nil {
		return "bad"
	}
	return "ok"
}

// TestPeersBehaviour evaluates terms in all three. A peer that returns no value
// counts as one whose code at the point does not run: that is gofail's way, and
// where pingcap differs it is by design (doc.go).
func TestPeersBehaviour(t *testing.T) {
	for _, terms := range []string{
		`off`, `return(1)`, `return()`, `return("x")`, `return(false)`, `return(-7)`, "return(`raw`)", `0*return(1)`,
		`2*return("abc")`, `2*return("abc")->1*return("def")`, `1*return("abc")->return("def")`,
		`2*return(5)->1*return(true)->1*return(false)->1*return(20)`, `1*sleep(1)->1*return(1)`, `1*off->return(3)`,
		`100.0%return(1)`, `100.0%2*return(1)`, `2*100.0%return(1)`, `3*2*return(1)`, `1*sleep("1ms")->return("z")`,
	} {
		setAll(t, terms)
		for i := range 7 {
			v, ok := ours.Eval()
			if ok != (v.Any() != nil) {
				t.Fatalf("%s: %v with value %v", terms, ok, v.Any())
			}
			g, _ := gofailPoint.Acquire()
			p, _ := pingcap.Eval(curpkg("point"))
			if !reflect.DeepEqual(v.Any(), g) || !reflect.DeepEqual(g, p) {
				t.Errorf("%s: evaluation %d: ours %v, gofail %v, pingcap %v", terms, i, v.Any(), g, p)
			}
		}
		_, ourCount, err := failpoint.Status(oursName)
		_, count, err2 := gofail.Status("point")
		if err != nil || err2 != nil || ourCount != count {
			t.Errorf("%s: count %d, %v; gofail %d, %v", terms, ourCount, err, count, err2)
		}
		clearAll(t)
	}
}

// TestPeersPanic compares the texts of panics, by which logs are searched.
func TestPeersPanic(t *testing.T) {
	setAll(t, `panic("as asked")`)
	defer clearAll(t)
	catch := func(f func()) (got string) {
		defer func() { got = fmt.Sprint(recover()) }()
		f()
		return ""
	}
	a := catch(func() { ours.Eval() })
	b := catch(func() { _, _ = gofailPoint.Acquire() })
	c := catch(func() { _, _ = pingcap.Eval(curpkg("point")) })
	if a != b || b != c {
		t.Errorf("ours %q, gofail %q, pingcap %q", a, b, c)
	}
}
