package ipireport

import (
	"slices"
	"strings"
	"unicode"
)

// wide are the characters that take two columns of a terminal (Unicode Standard Annex #11:
// East Asian Wide and Fullwidth, the blocks of them that letters and pictures are in).
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1},
		{Lo: 0x231a, Hi: 0x231b, Stride: 1},
		{Lo: 0x23e9, Hi: 0x23f3, Stride: 1},
		{Lo: 0x25fd, Hi: 0x25fe, Stride: 1},
		{Lo: 0x2614, Hi: 0x2615, Stride: 1},
		{Lo: 0x2648, Hi: 0x2653, Stride: 1},
		{Lo: 0x267f, Hi: 0x2757, Stride: 1},
		{Lo: 0x2795, Hi: 0x2797, Stride: 1},
		{Lo: 0x27b0, Hi: 0x27bf, Stride: 1},
		{Lo: 0x2b1b, Hi: 0x2b1c, Stride: 1},
		{Lo: 0x2b50, Hi: 0x2b55, Stride: 1},
		{Lo: 0x2e80, Hi: 0xa4cf, Stride: 1},
		{Lo: 0xa960, Hi: 0xa97f, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1},
		{Lo: 0xfe10, Hi: 0xfe19, Stride: 1},
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1},
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{{Lo: 0x16fe0, Hi: 0x1b2ff, Stride: 1}, {Lo: 0x1f004, Hi: 0x1faff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1}},
}

// columns is the width of text that [clean] has been over. It is too large rather than too small:
// a line that is wider than the terminal takes two of its lines, which the live table cannot know.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if r >= 0x1100 && unicode.Is(wide, r) {
		return 2
	}
	return 1
}

// short returns at most n columns of a text.
func short(s string, n int) string {
	const dots = "..."
	if columns(s) <= n {
		return s
	}
	if n <= len(dots) {
		return dots[:max(n, 0)]
	}
	left := n - len(dots)
	for i, r := range s {
		if left -= runeColumns(r); left < 0 {
			return s[:i] + dots
		}
	}
	return s
}

// usualWidth is that of paragraphs if no other is asked for.
const usualWidth = 100

// wrap writes a paragraph, indented.
func wrap(b *strings.Builder, text string, width int) {
	if width <= 0 {
		width = usualWidth
	}
	b.WriteString(indent)
	fill(b, text, width, len(indent))
}

// hang writes a paragraph of which all lines but the first are indented. Without a width it is
// one line.
func hang(b *strings.Builder, text string, width int) {
	if width <= 0 || columns(text) <= width {
		b.WriteString(text + "\n")
		return
	}
	first, rest, _ := strings.Cut(text, " ")
	b.WriteString(first)
	if rest == "" {
		b.WriteByte('\n')
		return
	}
	b.WriteByte(' ')
	fill(b, rest, width, columns(first)+1)
}

const indent = "  "

// fill writes words from a column on, and indents lines from the second on.
func fill(b *strings.Builder, text string, width, column int) {
	const least = 32
	width = max(width, least)
	for i, word := range strings.Fields(text) {
		n := columns(word)
		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	b.WriteByte('\n')
}

const (
	gap       = 2  // between columns of a table
	nameLeast = 14 // what is left of a column of names, if need be
)

// align writes columns, each flush left (l) or right (r). If that is wider than the width, and
// this is not 0, long names are cut first, and then the ends of lines.
func align(b *strings.Builder, table [][]string, flush string, width int) {
	widths := make([]int, len(flush))
	for _, cells := range table {
		for i, cell := range cells {
			widths[i] = max(widths[i], columns(cell))
		}
	}
	if width > 0 {
		narrow(widths, flush, width)
	}
	var text strings.Builder
	for _, cells := range table {
		text.Reset()
		for i, cell := range cells {
			cell = short(cell, widths[i])
			pad := strings.Repeat(" ", widths[i]-columns(cell))
			if flush[i] == 'r' {
				text.WriteString(pad + cell)
			} else {
				text.WriteString(cell + pad)
			}
			text.WriteString(strings.Repeat(" ", gap))
		}
		s := strings.TrimRight(text.String(), " ")
		if width > 0 {
			s = short(s, width)
		}
		b.WriteString(s + "\n")
	}
}

// fit leaves columns out, in the order given, until names have the room they need at least, or
// all of them are out.
func fit(table [][]string, flush string, width int, out ...string) ([][]string, string) {
	for _, name := range out {
		least := gap * (len(flush) - 1)
		for i := range flush {
			w := 0
			for _, cells := range table {
				w = max(w, columns(cells[i]))
			}
			if flush[i] == 'l' {
				w = min(w, nameLeast)
			}
			least += w
		}
		i := slices.Index(table[0], name)
		if width <= 0 || least <= width || i < 0 {
			break
		}
		for j := range table {
			table[j] = slices.Concat(table[j][:i], table[j][i+1:])
		}
		flush = flush[:i] + flush[i+1:]
	}
	return table, flush
}

// narrow takes columns of the widest names away, one by one, until the table fits.
func narrow(widths []int, flush string, width int) {
	total := gap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > width; total-- {
		widest := -1
		for i, w := range widths {
			if flush[i] == 'l' && w > nameLeast && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}
