package ipifilter

// GlobMatch reports whether the whole string matches the pattern, by the rules of the
// kernel's glob_match (lib/glob.c): * is any text, ? any character, [a-c] and [!a-c] are
// classes, \ takes the meaning of the next character. A [ without a ] stands for itself.
// A class begins with at least one member, which may be ]. A \ at the very end stands for
// nothing. All characters are bytes.
func GlobMatch(pattern, s string) bool {
	// After a mismatch, the last * takes one character more. Earlier ones need not: what
	// they could reach, the last one can.
	p, i := 0, 0
	star, from := -1, 0
	for {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			star, from = p, i
			continue
		}
		if i < len(s) {
			if next, ok := globOne(pattern, p, s[i]); ok {
				p, i = next, i+1
				continue
			}
		} else if p == len(pattern) || pattern[p:] == `\` {
			return true
		}
		if star < 0 || from >= len(s) {
			return false
		}
		from++
		p, i = star, from
	}
}

// globOne matches one character with what stands at p, and returns where that ends.
func globOne(pattern string, p int, c byte) (int, bool) {
	if p == len(pattern) {
		return p, false
	}
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		if end, in, ok := globClass(pattern[p+1:], c); ok {
			return p + 1 + end, in
		}
	case '\\':
		if p++; p == len(pattern) {
			return p, false
		}
	}
	return p + 1, pattern[p] == c
}

// globClass looks for c in the class that begins behind a [. It returns where the class
// ends, and false if that has no ].
func globClass(class string, c byte) (end int, in, ok bool) {
	inverted := class != "" && class[0] == '!'
	p := 0
	if inverted {
		p++
	}
	for first := true; p < len(class); first = false {
		a := class[p]
		if a == ']' && !first {
			return p + 1, in != inverted, true
		}
		p++
		b := a
		if p+1 < len(class) && class[p] == '-' && class[p+1] != ']' {
			b = class[p+1]
			p += 2
		}
		in = in || a <= c && c <= b
	}
	return 0, false, false
}
