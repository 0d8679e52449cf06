package statickey_test

import "github.com/quietpatch/quietpatch/statickey"

// benchKey has 56 sites, as many as the kernel's sched_schedstats had when
// batching was measured there.
var benchKey statickey.Bool

const benchSites = 56

//go:noinline
func check56(s *[benchSites]int) {
	if benchKey.Enabled() {
		s[0]++
	}
	if benchKey.Enabled() {
		s[1]++
	}
	if benchKey.Enabled() {
		s[2]++
	}
	if benchKey.Enabled() {
		s[3]++
	}
	if benchKey.Enabled() {
		s[4]++
	}
	if benchKey.Enabled() {
		s[5]++
	}
	if benchKey.Enabled() {
		s[6]++
	}
	if benchKey.Enabled() {
		s[7]++
	}
	if benchKey.Enabled() {
		s[8]++
	}
	if benchKey.Enabled() {
		s[9]++
	}
	if benchKey.Enabled() {
		s[10]++
	}
	if benchKey.Enabled() {
		s[11]++
	}
	if benchKey.Enabled() {
		s[12]++
	}
	if benchKey.Enabled() {
		s[13]++
	}
	if benchKey.Enabled() {
		s[14]++
	}
	if benchKey.Enabled() {
		s[15]++
	}
	if benchKey.Enabled() {
		s[16]++
	}
	if benchKey.Enabled() {
		s[17]++
	}
	if benchKey.Enabled() {
		s[18]++
	}
	if benchKey.Enabled() {
		s[19]++
	}
	if benchKey.Enabled() {
		s[20]++
	}
	if benchKey.Enabled() {
		s[21]++
	}
	if benchKey.Enabled() {
		s[22]++
	}
	if benchKey.Enabled() {
		s[23]++
	}
	if benchKey.Enabled() {
		s[24]++
	}
	if benchKey.Enabled() {
		s[25]++
	}
	if benchKey.Enabled() {
		s[26]++
	}
	if benchKey.Enabled() {
		s[27]++
	}
	if benchKey.Enabled() {
		s[28]++
	}
	if benchKey.Enabled() {
		s[29]++
	}
	if benchKey.Enabled() {
		s[30]++
	}
	if benchKey.Enabled() {
		s[31]++
	}
	if benchKey.Enabled() {
		s[32]++
	}
	if benchKey.Enabled() {
		s[33]++
	}
	if benchKey.Enabled() {
		s[34]++
	}
	if benchKey.Enabled() {
		s[35]++
	}
	if benchKey.Enabled() {
		s[36]++
	}
	if benchKey.Enabled() {
		s[37]++
	}
	if benchKey.Enabled() {
		s[38]++
	}
	if benchKey.Enabled() {
		s[39]++
	}
	if benchKey.Enabled() {
		s[40]++
	}
	if benchKey.Enabled() {
		s[41]++
	}
	if benchKey.Enabled() {
		s[42]++
	}
	if benchKey.Enabled() {
		s[43]++
	}
	if benchKey.Enabled() {
		s[44]++
	}
	if benchKey.Enabled() {
		s[45]++
	}
	if benchKey.Enabled() {
		s[46]++
	}
	if benchKey.Enabled() {
		s[47]++
	}
	if benchKey.Enabled() {
		s[48]++
	}
	if benchKey.Enabled() {
		s[49]++
	}
	if benchKey.Enabled() {
		s[50]++
	}
	if benchKey.Enabled() {
		s[51]++
	}
	if benchKey.Enabled() {
		s[52]++
	}
	if benchKey.Enabled() {
		s[53]++
	}
	if benchKey.Enabled() {
		s[54]++
	}
	if benchKey.Enabled() {
		s[55]++
	}
}
