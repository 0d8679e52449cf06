package ipifilter

import "testing"

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"a", "a", true},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"*sh", "bash", true},
		{"*sh", "bash2", false},
		{"ba*sh", "bash", true},
		{"ba*sh", "ba sh sh", true},
		{"*a*b*", "xxaxxbxx", true},
		{"*aaab", "aaaaaaab", true},
		{"[ab]c", "bc", true},
		{"[!ab]c", "bc", false},
		{"[!ab]c", "xc", true},
		{"[a-c]", "b", true},
		{"[c-a]", "b", false},
		{"[]]", "]", true},
		{"[!]]", "]", false},
		{"[a-]", "-", true},
		{"[-a]", "-", true},
		{"[^a]", "a", true}, // ^ is a member
		{"[a", "[a", true},
		{"[", "[", true},
		{"[]", "[]", true},
		{"[!]", "[!]", true},
		{"[!", "[!", true},
		{"[a-", "[a-", true},
		{`\*`, "*", true},
		{`\*`, "a", false},
		{`\[a]`, "[a]", true},
		{`[\]`, `\`, true}, // no escape inside
		{`a\`, "a", true},
		{`a\`, `a\`, false},
		{`*\`, "xyz", true},
		{"k*/[0-9]:*", "kworker/0:1", true},
	} {
		if got := GlobMatch(test.pattern, test.s); got != test.want {
			t.Errorf("%q with %q: got %v", test.pattern, test.s, got)
		}
	}
}

// slowGlob tries every length for every *, and reads a class into a set.
func slowGlob(p, s string) bool {
	if p == "" || p == `\` {
		return s == ""
	}
	switch p[0] {
	case '*':
		for i := range len(s) + 1 {
			if slowGlob(p[1:], s[i:]) {
				return true
			}
		}
		return false
	case '?':
		return s != "" && slowGlob(p[1:], s[1:])
	case '[':
		if members, rest, ok := slowClass(p[1:]); ok {
			return s != "" && members[s[0]] && slowGlob(rest, s[1:])
		}
	case '\\':
		p = p[1:]
	}
	return s != "" && s[0] == p[0] && slowGlob(p[1:], s[1:])
}

func slowClass(p string) (members [256]bool, rest string, ok bool) {
	inverted := p != "" && p[0] == '!'
	if inverted {
		p = p[1:]
	}
	for i := 0; i < len(p); i++ {
		if p[i] == ']' && i > 0 {
			for c := range members {
				members[c] = members[c] != inverted
			}
			return members, p[i+1:], true
		}
		last := p[i]
		if i+2 < len(p) && p[i+1] == '-' && p[i+2] != ']' {
			last = p[i+2]
		}
		for c := int(p[i]); c <= int(last); c++ {
			members[c] = true
		}
		if i+2 < len(p) && p[i+1] == '-' && p[i+2] != ']' {
			i += 2
		}
	}
	return members, "", false
}

// words calls f for all texts of an alphabet up to a length.
func words(alphabet string, length int, f func(string)) {
	f("")
	if length == 0 {
		return
	}
	for i := range len(alphabet) {
		words(alphabet, length-1, func(tail string) { f(alphabet[i:i+1] + tail) })
	}
}

// TestGlobAgrees compares with the slow matcher: all patterns of up to 5 characters that mean
// something, with all texts of up to 3.
func TestGlobAgrees(t *testing.T) {
	length := 5
	if testing.Short() {
		length = 4
	}
	var texts []string
	words(`ab]`, 3, func(s string) { texts = append(texts, s) })
	words(`a!-*?[\`, 1, func(s string) { texts = append(texts, s) })
	bad := 0
	words(`ab*?[]!-\`, length, func(p string) {
		if bad > 10 {
			return
		}
		for _, s := range texts {
			if got, want := GlobMatch(p, s), slowGlob(p, s); got != want {
				t.Errorf("%q with %q: got %v, want %v", p, s, got, want)
				bad++
			}
		}
	})
}
