package amd64

import "testing"

// benchText is one copy of every instruction of the table, many times over.
func benchText(b *testing.B) []byte {
	var text []byte
	all := vectors(b)
	for len(text) < 1<<20 {
		for _, v := range all {
			text = append(text, v.code...)
		}
	}
	return text
}

func BenchmarkDecode(b *testing.B) {
	text := benchText(b)
	b.SetBytes(int64(len(text)))
	n := 0
	for b.Loop() {
		n = 0
		for off := 0; off < len(text); n++ {
			in, err := Decode(text[off:])
			if err != nil {
				b.Fatal(err)
			}
			off += int(in.Len)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "insn_ns")
}

// BenchmarkRecognizeText asks at every instruction of the text, nearly all of
// which are no form.
func BenchmarkRecognizeText(b *testing.B) {
	text := benchText(b)
	var starts []int
	for off := 0; off < len(text); {
		in, err := Decode(text[off:])
		if err != nil {
			b.Fatal(err)
		}
		starts = append(starts, off)
		off += int(in.Len)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		for _, off := range starts {
			Recognize(text[off:])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(starts)), "insn_ns")
}

func BenchmarkRecognizeForm(b *testing.B) {
	code := mustHex(b, "44 0f b6 05 01 02 03 04")
	for b.Loop() {
		Recognize(code)
	}
}

func BenchmarkArmed(b *testing.B) {
	for _, c := range []struct {
		name, hex string
		form      Form
		conds     Conds
	}{
		{"CmpByte", "80 3d 01 02 03 04 00", CmpByte, 1 << condE},
		{"CmpLong", "83 3d 01 02 03 04 03", CmpLong, 1 << condL},
		{"CmpQuad mixed", "48 81 3d 01 02 03 04 00 01 00 00", CmpQuad, 1<<condL | 1<<condE},
		{"MovLong", "8b 05 01 02 03 04", MovLong, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			orig := codeOf(b, mustHex(b, c.hex))
			for b.Loop() {
				if _, err := Armed(c.form, orig, c.conds, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
