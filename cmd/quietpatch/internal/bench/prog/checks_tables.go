package prog

import (
	"context"
	"log/slog"
)

// Each function below makes one check, or 32 of them, in each of n turns of a loop. What a
// check guards is the same everywhere, one addition in memory. Written out, because
// a check in a loop over checks would be one site. The functions between them
// keep the code of one from being fetched along with that of another.

const (
	constOff = false
	constOn  = true
)

func gap0(s *[checksMax]int) {
	s[0] += s[0] * 1000003
	s[1] += s[7] * 1000003
	s[2] += s[14] * 1000003
	s[3] += s[21] * 1000003
	s[4] += s[28] * 1000003
	s[5] += s[3] * 1000003
	s[6] += s[10] * 1000003
	s[7] += s[17] * 1000003
	s[8] += s[24] * 1000003
	s[9] += s[31] * 1000003
	s[10] += s[6] * 1000003
	s[11] += s[13] * 1000003
	s[12] += s[20] * 1000003
	s[13] += s[27] * 1000003
	s[14] += s[2] * 1000003
	s[15] += s[9] * 1000003
	s[16] += s[16] * 1000003
	s[17] += s[23] * 1000003
	s[18] += s[30] * 1000003
	s[19] += s[5] * 1000003
	s[20] += s[12] * 1000003
	s[21] += s[19] * 1000003
	s[22] += s[26] * 1000003
	s[23] += s[1] * 1000003
	s[24] += s[8] * 1000003
	s[25] += s[15] * 1000003
	s[26] += s[22] * 1000003
	s[27] += s[29] * 1000003
	s[28] += s[4] * 1000003
	s[29] += s[11] * 1000003
	s[30] += s[18] * 1000003
	s[31] += s[25] * 1000003
	s[0] += s[0] * 1000003
	s[1] += s[7] * 1000003
	s[2] += s[14] * 1000003
	s[3] += s[21] * 1000003
	s[4] += s[28] * 1000003
	s[5] += s[3] * 1000003
	s[6] += s[10] * 1000003
	s[7] += s[17] * 1000003
	s[8] += s[24] * 1000003
	s[9] += s[31] * 1000003
	s[10] += s[6] * 1000003
	s[11] += s[13] * 1000003
	s[12] += s[20] * 1000003
	s[13] += s[27] * 1000003
	s[14] += s[2] * 1000003
	s[15] += s[9] * 1000003
}

//go:noinline
func constOff1(n int, s *[checksMax]int) {
	for range n {
		if constOff {
			s[0]++
		}
	}
}

func gap1(s *[checksMax]int) {
	s[0] += s[1] * 1000003
	s[1] += s[8] * 1000004
	s[2] += s[15] * 1000005
	s[3] += s[22] * 1000006
	s[4] += s[29] * 1000007
	s[5] += s[4] * 1000008
	s[6] += s[11] * 1000009
	s[7] += s[18] * 1000010
	s[8] += s[25] * 1000011
	s[9] += s[0] * 1000012
	s[10] += s[7] * 1000013
	s[11] += s[14] * 1000014
	s[12] += s[21] * 1000015
	s[13] += s[28] * 1000016
	s[14] += s[3] * 1000017
	s[15] += s[10] * 1000018
	s[16] += s[17] * 1000019
	s[17] += s[24] * 1000020
	s[18] += s[31] * 1000021
	s[19] += s[6] * 1000022
	s[20] += s[13] * 1000023
	s[21] += s[20] * 1000024
	s[22] += s[27] * 1000025
	s[23] += s[2] * 1000026
	s[24] += s[9] * 1000027
	s[25] += s[16] * 1000028
	s[26] += s[23] * 1000029
	s[27] += s[30] * 1000030
	s[28] += s[5] * 1000031
	s[29] += s[12] * 1000032
	s[30] += s[19] * 1000033
	s[31] += s[26] * 1000034
	s[0] += s[1] * 1000035
	s[1] += s[8] * 1000036
	s[2] += s[15] * 1000037
	s[3] += s[22] * 1000038
	s[4] += s[29] * 1000039
	s[5] += s[4] * 1000040
	s[6] += s[11] * 1000041
	s[7] += s[18] * 1000042
	s[8] += s[25] * 1000043
	s[9] += s[0] * 1000044
	s[10] += s[7] * 1000045
	s[11] += s[14] * 1000046
	s[12] += s[21] * 1000047
	s[13] += s[28] * 1000048
	s[14] += s[3] * 1000049
	s[15] += s[10] * 1000050
}

//go:noinline
func constOff32(n int, s *[checksMax]int) {
	for range n {
		if constOff {
			s[0]++
		}
		if constOff {
			s[1]++
		}
		if constOff {
			s[2]++
		}
		if constOff {
			s[3]++
		}
		if constOff {
			s[4]++
		}
		if constOff {
			s[5]++
		}
		if constOff {
			s[6]++
		}
		if constOff {
			s[7]++
		}
		if constOff {
			s[8]++
		}
		if constOff {
			s[9]++
		}
		if constOff {
			s[10]++
		}
		if constOff {
			s[11]++
		}
		if constOff {
			s[12]++
		}
		if constOff {
			s[13]++
		}
		if constOff {
			s[14]++
		}
		if constOff {
			s[15]++
		}
		if constOff {
			s[16]++
		}
		if constOff {
			s[17]++
		}
		if constOff {
			s[18]++
		}
		if constOff {
			s[19]++
		}
		if constOff {
			s[20]++
		}
		if constOff {
			s[21]++
		}
		if constOff {
			s[22]++
		}
		if constOff {
			s[23]++
		}
		if constOff {
			s[24]++
		}
		if constOff {
			s[25]++
		}
		if constOff {
			s[26]++
		}
		if constOff {
			s[27]++
		}
		if constOff {
			s[28]++
		}
		if constOff {
			s[29]++
		}
		if constOff {
			s[30]++
		}
		if constOff {
			s[31]++
		}
	}
}

func gap2(s *[checksMax]int) {
	s[0] += s[2] * 1000003
	s[1] += s[9] * 1000005
	s[2] += s[16] * 1000007
	s[3] += s[23] * 1000009
	s[4] += s[30] * 1000011
	s[5] += s[5] * 1000013
	s[6] += s[12] * 1000015
	s[7] += s[19] * 1000017
	s[8] += s[26] * 1000019
	s[9] += s[1] * 1000021
	s[10] += s[8] * 1000023
	s[11] += s[15] * 1000025
	s[12] += s[22] * 1000027
	s[13] += s[29] * 1000029
	s[14] += s[4] * 1000031
	s[15] += s[11] * 1000033
	s[16] += s[18] * 1000035
	s[17] += s[25] * 1000037
	s[18] += s[0] * 1000039
	s[19] += s[7] * 1000041
	s[20] += s[14] * 1000043
	s[21] += s[21] * 1000045
	s[22] += s[28] * 1000047
	s[23] += s[3] * 1000049
	s[24] += s[10] * 1000051
	s[25] += s[17] * 1000053
	s[26] += s[24] * 1000055
	s[27] += s[31] * 1000057
	s[28] += s[6] * 1000059
	s[29] += s[13] * 1000061
	s[30] += s[20] * 1000063
	s[31] += s[27] * 1000065
	s[0] += s[2] * 1000067
	s[1] += s[9] * 1000069
	s[2] += s[16] * 1000071
	s[3] += s[23] * 1000073
	s[4] += s[30] * 1000075
	s[5] += s[5] * 1000077
	s[6] += s[12] * 1000079
	s[7] += s[19] * 1000081
	s[8] += s[26] * 1000083
	s[9] += s[1] * 1000085
	s[10] += s[8] * 1000087
	s[11] += s[15] * 1000089
	s[12] += s[22] * 1000091
	s[13] += s[29] * 1000093
	s[14] += s[4] * 1000095
	s[15] += s[11] * 1000097
}

//go:noinline
func constOn1(n int, s *[checksMax]int) {
	for range n {
		if constOn {
			s[0]++
		}
	}
}

func gap3(s *[checksMax]int) {
	s[0] += s[3] * 1000003
	s[1] += s[10] * 1000006
	s[2] += s[17] * 1000009
	s[3] += s[24] * 1000012
	s[4] += s[31] * 1000015
	s[5] += s[6] * 1000018
	s[6] += s[13] * 1000021
	s[7] += s[20] * 1000024
	s[8] += s[27] * 1000027
	s[9] += s[2] * 1000030
	s[10] += s[9] * 1000033
	s[11] += s[16] * 1000036
	s[12] += s[23] * 1000039
	s[13] += s[30] * 1000042
	s[14] += s[5] * 1000045
	s[15] += s[12] * 1000048
	s[16] += s[19] * 1000051
	s[17] += s[26] * 1000054
	s[18] += s[1] * 1000057
	s[19] += s[8] * 1000060
	s[20] += s[15] * 1000063
	s[21] += s[22] * 1000066
	s[22] += s[29] * 1000069
	s[23] += s[4] * 1000072
	s[24] += s[11] * 1000075
	s[25] += s[18] * 1000078
	s[26] += s[25] * 1000081
	s[27] += s[0] * 1000084
	s[28] += s[7] * 1000087
	s[29] += s[14] * 1000090
	s[30] += s[21] * 1000093
	s[31] += s[28] * 1000096
	s[0] += s[3] * 1000099
	s[1] += s[10] * 1000102
	s[2] += s[17] * 1000105
	s[3] += s[24] * 1000108
	s[4] += s[31] * 1000111
	s[5] += s[6] * 1000114
	s[6] += s[13] * 1000117
	s[7] += s[20] * 1000120
	s[8] += s[27] * 1000123
	s[9] += s[2] * 1000126
	s[10] += s[9] * 1000129
	s[11] += s[16] * 1000132
	s[12] += s[23] * 1000135
	s[13] += s[30] * 1000138
	s[14] += s[5] * 1000141
	s[15] += s[12] * 1000144
}

//go:noinline
func constOn32(n int, s *[checksMax]int) {
	for range n {
		if constOn {
			s[0]++
		}
		if constOn {
			s[1]++
		}
		if constOn {
			s[2]++
		}
		if constOn {
			s[3]++
		}
		if constOn {
			s[4]++
		}
		if constOn {
			s[5]++
		}
		if constOn {
			s[6]++
		}
		if constOn {
			s[7]++
		}
		if constOn {
			s[8]++
		}
		if constOn {
			s[9]++
		}
		if constOn {
			s[10]++
		}
		if constOn {
			s[11]++
		}
		if constOn {
			s[12]++
		}
		if constOn {
			s[13]++
		}
		if constOn {
			s[14]++
		}
		if constOn {
			s[15]++
		}
		if constOn {
			s[16]++
		}
		if constOn {
			s[17]++
		}
		if constOn {
			s[18]++
		}
		if constOn {
			s[19]++
		}
		if constOn {
			s[20]++
		}
		if constOn {
			s[21]++
		}
		if constOn {
			s[22]++
		}
		if constOn {
			s[23]++
		}
		if constOn {
			s[24]++
		}
		if constOn {
			s[25]++
		}
		if constOn {
			s[26]++
		}
		if constOn {
			s[27]++
		}
		if constOn {
			s[28]++
		}
		if constOn {
			s[29]++
		}
		if constOn {
			s[30]++
		}
		if constOn {
			s[31]++
		}
	}
}

func gap4(s *[checksMax]int) {
	s[0] += s[4] * 1000003
	s[1] += s[11] * 1000007
	s[2] += s[18] * 1000011
	s[3] += s[25] * 1000015
	s[4] += s[0] * 1000019
	s[5] += s[7] * 1000023
	s[6] += s[14] * 1000027
	s[7] += s[21] * 1000031
	s[8] += s[28] * 1000035
	s[9] += s[3] * 1000039
	s[10] += s[10] * 1000043
	s[11] += s[17] * 1000047
	s[12] += s[24] * 1000051
	s[13] += s[31] * 1000055
	s[14] += s[6] * 1000059
	s[15] += s[13] * 1000063
	s[16] += s[20] * 1000067
	s[17] += s[27] * 1000071
	s[18] += s[2] * 1000075
	s[19] += s[9] * 1000079
	s[20] += s[16] * 1000083
	s[21] += s[23] * 1000087
	s[22] += s[30] * 1000091
	s[23] += s[5] * 1000095
	s[24] += s[12] * 1000099
	s[25] += s[19] * 1000103
	s[26] += s[26] * 1000107
	s[27] += s[1] * 1000111
	s[28] += s[8] * 1000115
	s[29] += s[15] * 1000119
	s[30] += s[22] * 1000123
	s[31] += s[29] * 1000127
	s[0] += s[4] * 1000131
	s[1] += s[11] * 1000135
	s[2] += s[18] * 1000139
	s[3] += s[25] * 1000143
	s[4] += s[0] * 1000147
	s[5] += s[7] * 1000151
	s[6] += s[14] * 1000155
	s[7] += s[21] * 1000159
	s[8] += s[28] * 1000163
	s[9] += s[3] * 1000167
	s[10] += s[10] * 1000171
	s[11] += s[17] * 1000175
	s[12] += s[24] * 1000179
	s[13] += s[31] * 1000183
	s[14] += s[6] * 1000187
	s[15] += s[13] * 1000191
}

//go:noinline
func bool1(n int, s *[checksMax]int) {
	for range n {
		if boolLine.v {
			s[0]++
		}
	}
}

func gap5(s *[checksMax]int) {
	s[0] += s[5] * 1000003
	s[1] += s[12] * 1000008
	s[2] += s[19] * 1000013
	s[3] += s[26] * 1000018
	s[4] += s[1] * 1000023
	s[5] += s[8] * 1000028
	s[6] += s[15] * 1000033
	s[7] += s[22] * 1000038
	s[8] += s[29] * 1000043
	s[9] += s[4] * 1000048
	s[10] += s[11] * 1000053
	s[11] += s[18] * 1000058
	s[12] += s[25] * 1000063
	s[13] += s[0] * 1000068
	s[14] += s[7] * 1000073
	s[15] += s[14] * 1000078
	s[16] += s[21] * 1000083
	s[17] += s[28] * 1000088
	s[18] += s[3] * 1000093
	s[19] += s[10] * 1000098
	s[20] += s[17] * 1000103
	s[21] += s[24] * 1000108
	s[22] += s[31] * 1000113
	s[23] += s[6] * 1000118
	s[24] += s[13] * 1000123
	s[25] += s[20] * 1000128
	s[26] += s[27] * 1000133
	s[27] += s[2] * 1000138
	s[28] += s[9] * 1000143
	s[29] += s[16] * 1000148
	s[30] += s[23] * 1000153
	s[31] += s[30] * 1000158
	s[0] += s[5] * 1000163
	s[1] += s[12] * 1000168
	s[2] += s[19] * 1000173
	s[3] += s[26] * 1000178
	s[4] += s[1] * 1000183
	s[5] += s[8] * 1000188
	s[6] += s[15] * 1000193
	s[7] += s[22] * 1000198
	s[8] += s[29] * 1000203
	s[9] += s[4] * 1000208
	s[10] += s[11] * 1000213
	s[11] += s[18] * 1000218
	s[12] += s[25] * 1000223
	s[13] += s[0] * 1000228
	s[14] += s[7] * 1000233
	s[15] += s[14] * 1000238
}

//go:noinline
func bool32(n int, s *[checksMax]int) {
	for range n {
		if boolLine.v {
			s[0]++
		}
		if boolLine.v {
			s[1]++
		}
		if boolLine.v {
			s[2]++
		}
		if boolLine.v {
			s[3]++
		}
		if boolLine.v {
			s[4]++
		}
		if boolLine.v {
			s[5]++
		}
		if boolLine.v {
			s[6]++
		}
		if boolLine.v {
			s[7]++
		}
		if boolLine.v {
			s[8]++
		}
		if boolLine.v {
			s[9]++
		}
		if boolLine.v {
			s[10]++
		}
		if boolLine.v {
			s[11]++
		}
		if boolLine.v {
			s[12]++
		}
		if boolLine.v {
			s[13]++
		}
		if boolLine.v {
			s[14]++
		}
		if boolLine.v {
			s[15]++
		}
		if boolLine.v {
			s[16]++
		}
		if boolLine.v {
			s[17]++
		}
		if boolLine.v {
			s[18]++
		}
		if boolLine.v {
			s[19]++
		}
		if boolLine.v {
			s[20]++
		}
		if boolLine.v {
			s[21]++
		}
		if boolLine.v {
			s[22]++
		}
		if boolLine.v {
			s[23]++
		}
		if boolLine.v {
			s[24]++
		}
		if boolLine.v {
			s[25]++
		}
		if boolLine.v {
			s[26]++
		}
		if boolLine.v {
			s[27]++
		}
		if boolLine.v {
			s[28]++
		}
		if boolLine.v {
			s[29]++
		}
		if boolLine.v {
			s[30]++
		}
		if boolLine.v {
			s[31]++
		}
	}
}

func gap6(s *[checksMax]int) {
	s[0] += s[6] * 1000003
	s[1] += s[13] * 1000009
	s[2] += s[20] * 1000015
	s[3] += s[27] * 1000021
	s[4] += s[2] * 1000027
	s[5] += s[9] * 1000033
	s[6] += s[16] * 1000039
	s[7] += s[23] * 1000045
	s[8] += s[30] * 1000051
	s[9] += s[5] * 1000057
	s[10] += s[12] * 1000063
	s[11] += s[19] * 1000069
	s[12] += s[26] * 1000075
	s[13] += s[1] * 1000081
	s[14] += s[8] * 1000087
	s[15] += s[15] * 1000093
	s[16] += s[22] * 1000099
	s[17] += s[29] * 1000105
	s[18] += s[4] * 1000111
	s[19] += s[11] * 1000117
	s[20] += s[18] * 1000123
	s[21] += s[25] * 1000129
	s[22] += s[0] * 1000135
	s[23] += s[7] * 1000141
	s[24] += s[14] * 1000147
	s[25] += s[21] * 1000153
	s[26] += s[28] * 1000159
	s[27] += s[3] * 1000165
	s[28] += s[10] * 1000171
	s[29] += s[17] * 1000177
	s[30] += s[24] * 1000183
	s[31] += s[31] * 1000189
	s[0] += s[6] * 1000195
	s[1] += s[13] * 1000201
	s[2] += s[20] * 1000207
	s[3] += s[27] * 1000213
	s[4] += s[2] * 1000219
	s[5] += s[9] * 1000225
	s[6] += s[16] * 1000231
	s[7] += s[23] * 1000237
	s[8] += s[30] * 1000243
	s[9] += s[5] * 1000249
	s[10] += s[12] * 1000255
	s[11] += s[19] * 1000261
	s[12] += s[26] * 1000267
	s[13] += s[1] * 1000273
	s[14] += s[8] * 1000279
	s[15] += s[15] * 1000285
}

//go:noinline
func atomicBool1(n int, s *[checksMax]int) {
	for range n {
		if atomicLine.v.Load() {
			s[0]++
		}
	}
}

func gap7(s *[checksMax]int) {
	s[0] += s[7] * 1000003
	s[1] += s[14] * 1000010
	s[2] += s[21] * 1000017
	s[3] += s[28] * 1000024
	s[4] += s[3] * 1000031
	s[5] += s[10] * 1000038
	s[6] += s[17] * 1000045
	s[7] += s[24] * 1000052
	s[8] += s[31] * 1000059
	s[9] += s[6] * 1000066
	s[10] += s[13] * 1000073
	s[11] += s[20] * 1000080
	s[12] += s[27] * 1000087
	s[13] += s[2] * 1000094
	s[14] += s[9] * 1000101
	s[15] += s[16] * 1000108
	s[16] += s[23] * 1000115
	s[17] += s[30] * 1000122
	s[18] += s[5] * 1000129
	s[19] += s[12] * 1000136
	s[20] += s[19] * 1000143
	s[21] += s[26] * 1000150
	s[22] += s[1] * 1000157
	s[23] += s[8] * 1000164
	s[24] += s[15] * 1000171
	s[25] += s[22] * 1000178
	s[26] += s[29] * 1000185
	s[27] += s[4] * 1000192
	s[28] += s[11] * 1000199
	s[29] += s[18] * 1000206
	s[30] += s[25] * 1000213
	s[31] += s[0] * 1000220
	s[0] += s[7] * 1000227
	s[1] += s[14] * 1000234
	s[2] += s[21] * 1000241
	s[3] += s[28] * 1000248
	s[4] += s[3] * 1000255
	s[5] += s[10] * 1000262
	s[6] += s[17] * 1000269
	s[7] += s[24] * 1000276
	s[8] += s[31] * 1000283
	s[9] += s[6] * 1000290
	s[10] += s[13] * 1000297
	s[11] += s[20] * 1000304
	s[12] += s[27] * 1000311
	s[13] += s[2] * 1000318
	s[14] += s[9] * 1000325
	s[15] += s[16] * 1000332
}

//go:noinline
func atomicBool32(n int, s *[checksMax]int) {
	for range n {
		if atomicLine.v.Load() {
			s[0]++
		}
		if atomicLine.v.Load() {
			s[1]++
		}
		if atomicLine.v.Load() {
			s[2]++
		}
		if atomicLine.v.Load() {
			s[3]++
		}
		if atomicLine.v.Load() {
			s[4]++
		}
		if atomicLine.v.Load() {
			s[5]++
		}
		if atomicLine.v.Load() {
			s[6]++
		}
		if atomicLine.v.Load() {
			s[7]++
		}
		if atomicLine.v.Load() {
			s[8]++
		}
		if atomicLine.v.Load() {
			s[9]++
		}
		if atomicLine.v.Load() {
			s[10]++
		}
		if atomicLine.v.Load() {
			s[11]++
		}
		if atomicLine.v.Load() {
			s[12]++
		}
		if atomicLine.v.Load() {
			s[13]++
		}
		if atomicLine.v.Load() {
			s[14]++
		}
		if atomicLine.v.Load() {
			s[15]++
		}
		if atomicLine.v.Load() {
			s[16]++
		}
		if atomicLine.v.Load() {
			s[17]++
		}
		if atomicLine.v.Load() {
			s[18]++
		}
		if atomicLine.v.Load() {
			s[19]++
		}
		if atomicLine.v.Load() {
			s[20]++
		}
		if atomicLine.v.Load() {
			s[21]++
		}
		if atomicLine.v.Load() {
			s[22]++
		}
		if atomicLine.v.Load() {
			s[23]++
		}
		if atomicLine.v.Load() {
			s[24]++
		}
		if atomicLine.v.Load() {
			s[25]++
		}
		if atomicLine.v.Load() {
			s[26]++
		}
		if atomicLine.v.Load() {
			s[27]++
		}
		if atomicLine.v.Load() {
			s[28]++
		}
		if atomicLine.v.Load() {
			s[29]++
		}
		if atomicLine.v.Load() {
			s[30]++
		}
		if atomicLine.v.Load() {
			s[31]++
		}
	}
}

func gap8(s *[checksMax]int) {
	s[0] += s[8] * 1000003
	s[1] += s[15] * 1000011
	s[2] += s[22] * 1000019
	s[3] += s[29] * 1000027
	s[4] += s[4] * 1000035
	s[5] += s[11] * 1000043
	s[6] += s[18] * 1000051
	s[7] += s[25] * 1000059
	s[8] += s[0] * 1000067
	s[9] += s[7] * 1000075
	s[10] += s[14] * 1000083
	s[11] += s[21] * 1000091
	s[12] += s[28] * 1000099
	s[13] += s[3] * 1000107
	s[14] += s[10] * 1000115
	s[15] += s[17] * 1000123
	s[16] += s[24] * 1000131
	s[17] += s[31] * 1000139
	s[18] += s[6] * 1000147
	s[19] += s[13] * 1000155
	s[20] += s[20] * 1000163
	s[21] += s[27] * 1000171
	s[22] += s[2] * 1000179
	s[23] += s[9] * 1000187
	s[24] += s[16] * 1000195
	s[25] += s[23] * 1000203
	s[26] += s[30] * 1000211
	s[27] += s[5] * 1000219
	s[28] += s[12] * 1000227
	s[29] += s[19] * 1000235
	s[30] += s[26] * 1000243
	s[31] += s[1] * 1000251
	s[0] += s[8] * 1000259
	s[1] += s[15] * 1000267
	s[2] += s[22] * 1000275
	s[3] += s[29] * 1000283
	s[4] += s[4] * 1000291
	s[5] += s[11] * 1000299
	s[6] += s[18] * 1000307
	s[7] += s[25] * 1000315
	s[8] += s[0] * 1000323
	s[9] += s[7] * 1000331
	s[10] += s[14] * 1000339
	s[11] += s[21] * 1000347
	s[12] += s[28] * 1000355
	s[13] += s[3] * 1000363
	s[14] += s[10] * 1000371
	s[15] += s[17] * 1000379
}

//go:noinline
func pointer1(n int, s *[checksMax]int) {
	for range n {
		if pointerLine.v.Load().debug {
			s[0]++
		}
	}
}

func gap9(s *[checksMax]int) {
	s[0] += s[9] * 1000003
	s[1] += s[16] * 1000012
	s[2] += s[23] * 1000021
	s[3] += s[30] * 1000030
	s[4] += s[5] * 1000039
	s[5] += s[12] * 1000048
	s[6] += s[19] * 1000057
	s[7] += s[26] * 1000066
	s[8] += s[1] * 1000075
	s[9] += s[8] * 1000084
	s[10] += s[15] * 1000093
	s[11] += s[22] * 1000102
	s[12] += s[29] * 1000111
	s[13] += s[4] * 1000120
	s[14] += s[11] * 1000129
	s[15] += s[18] * 1000138
	s[16] += s[25] * 1000147
	s[17] += s[0] * 1000156
	s[18] += s[7] * 1000165
	s[19] += s[14] * 1000174
	s[20] += s[21] * 1000183
	s[21] += s[28] * 1000192
	s[22] += s[3] * 1000201
	s[23] += s[10] * 1000210
	s[24] += s[17] * 1000219
	s[25] += s[24] * 1000228
	s[26] += s[31] * 1000237
	s[27] += s[6] * 1000246
	s[28] += s[13] * 1000255
	s[29] += s[20] * 1000264
	s[30] += s[27] * 1000273
	s[31] += s[2] * 1000282
	s[0] += s[9] * 1000291
	s[1] += s[16] * 1000300
	s[2] += s[23] * 1000309
	s[3] += s[30] * 1000318
	s[4] += s[5] * 1000327
	s[5] += s[12] * 1000336
	s[6] += s[19] * 1000345
	s[7] += s[26] * 1000354
	s[8] += s[1] * 1000363
	s[9] += s[8] * 1000372
	s[10] += s[15] * 1000381
	s[11] += s[22] * 1000390
	s[12] += s[29] * 1000399
	s[13] += s[4] * 1000408
	s[14] += s[11] * 1000417
	s[15] += s[18] * 1000426
}

//go:noinline
func pointer32(n int, s *[checksMax]int) {
	for range n {
		if pointerLine.v.Load().debug {
			s[0]++
		}
		if pointerLine.v.Load().debug {
			s[1]++
		}
		if pointerLine.v.Load().debug {
			s[2]++
		}
		if pointerLine.v.Load().debug {
			s[3]++
		}
		if pointerLine.v.Load().debug {
			s[4]++
		}
		if pointerLine.v.Load().debug {
			s[5]++
		}
		if pointerLine.v.Load().debug {
			s[6]++
		}
		if pointerLine.v.Load().debug {
			s[7]++
		}
		if pointerLine.v.Load().debug {
			s[8]++
		}
		if pointerLine.v.Load().debug {
			s[9]++
		}
		if pointerLine.v.Load().debug {
			s[10]++
		}
		if pointerLine.v.Load().debug {
			s[11]++
		}
		if pointerLine.v.Load().debug {
			s[12]++
		}
		if pointerLine.v.Load().debug {
			s[13]++
		}
		if pointerLine.v.Load().debug {
			s[14]++
		}
		if pointerLine.v.Load().debug {
			s[15]++
		}
		if pointerLine.v.Load().debug {
			s[16]++
		}
		if pointerLine.v.Load().debug {
			s[17]++
		}
		if pointerLine.v.Load().debug {
			s[18]++
		}
		if pointerLine.v.Load().debug {
			s[19]++
		}
		if pointerLine.v.Load().debug {
			s[20]++
		}
		if pointerLine.v.Load().debug {
			s[21]++
		}
		if pointerLine.v.Load().debug {
			s[22]++
		}
		if pointerLine.v.Load().debug {
			s[23]++
		}
		if pointerLine.v.Load().debug {
			s[24]++
		}
		if pointerLine.v.Load().debug {
			s[25]++
		}
		if pointerLine.v.Load().debug {
			s[26]++
		}
		if pointerLine.v.Load().debug {
			s[27]++
		}
		if pointerLine.v.Load().debug {
			s[28]++
		}
		if pointerLine.v.Load().debug {
			s[29]++
		}
		if pointerLine.v.Load().debug {
			s[30]++
		}
		if pointerLine.v.Load().debug {
			s[31]++
		}
	}
}

func gap10(s *[checksMax]int) {
	s[0] += s[10] * 1000003
	s[1] += s[17] * 1000013
	s[2] += s[24] * 1000023
	s[3] += s[31] * 1000033
	s[4] += s[6] * 1000043
	s[5] += s[13] * 1000053
	s[6] += s[20] * 1000063
	s[7] += s[27] * 1000073
	s[8] += s[2] * 1000083
	s[9] += s[9] * 1000093
	s[10] += s[16] * 1000103
	s[11] += s[23] * 1000113
	s[12] += s[30] * 1000123
	s[13] += s[5] * 1000133
	s[14] += s[12] * 1000143
	s[15] += s[19] * 1000153
	s[16] += s[26] * 1000163
	s[17] += s[1] * 1000173
	s[18] += s[8] * 1000183
	s[19] += s[15] * 1000193
	s[20] += s[22] * 1000203
	s[21] += s[29] * 1000213
	s[22] += s[4] * 1000223
	s[23] += s[11] * 1000233
	s[24] += s[18] * 1000243
	s[25] += s[25] * 1000253
	s[26] += s[0] * 1000263
	s[27] += s[7] * 1000273
	s[28] += s[14] * 1000283
	s[29] += s[21] * 1000293
	s[30] += s[28] * 1000303
	s[31] += s[3] * 1000313
	s[0] += s[10] * 1000323
	s[1] += s[17] * 1000333
	s[2] += s[24] * 1000343
	s[3] += s[31] * 1000353
	s[4] += s[6] * 1000363
	s[5] += s[13] * 1000373
	s[6] += s[20] * 1000383
	s[7] += s[27] * 1000393
	s[8] += s[2] * 1000403
	s[9] += s[9] * 1000413
	s[10] += s[16] * 1000423
	s[11] += s[23] * 1000433
	s[12] += s[30] * 1000443
	s[13] += s[5] * 1000453
	s[14] += s[12] * 1000463
	s[15] += s[19] * 1000473
}

//go:noinline
func slog1(n int, s *[checksMax]int) {
	ctx := context.Background()
	for range n {
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[0]++
		}
	}
}

func gap11(s *[checksMax]int) {
	s[0] += s[11] * 1000003
	s[1] += s[18] * 1000014
	s[2] += s[25] * 1000025
	s[3] += s[0] * 1000036
	s[4] += s[7] * 1000047
	s[5] += s[14] * 1000058
	s[6] += s[21] * 1000069
	s[7] += s[28] * 1000080
	s[8] += s[3] * 1000091
	s[9] += s[10] * 1000102
	s[10] += s[17] * 1000113
	s[11] += s[24] * 1000124
	s[12] += s[31] * 1000135
	s[13] += s[6] * 1000146
	s[14] += s[13] * 1000157
	s[15] += s[20] * 1000168
	s[16] += s[27] * 1000179
	s[17] += s[2] * 1000190
	s[18] += s[9] * 1000201
	s[19] += s[16] * 1000212
	s[20] += s[23] * 1000223
	s[21] += s[30] * 1000234
	s[22] += s[5] * 1000245
	s[23] += s[12] * 1000256
	s[24] += s[19] * 1000267
	s[25] += s[26] * 1000278
	s[26] += s[1] * 1000289
	s[27] += s[8] * 1000300
	s[28] += s[15] * 1000311
	s[29] += s[22] * 1000322
	s[30] += s[29] * 1000333
	s[31] += s[4] * 1000344
	s[0] += s[11] * 1000355
	s[1] += s[18] * 1000366
	s[2] += s[25] * 1000377
	s[3] += s[0] * 1000388
	s[4] += s[7] * 1000399
	s[5] += s[14] * 1000410
	s[6] += s[21] * 1000421
	s[7] += s[28] * 1000432
	s[8] += s[3] * 1000443
	s[9] += s[10] * 1000454
	s[10] += s[17] * 1000465
	s[11] += s[24] * 1000476
	s[12] += s[31] * 1000487
	s[13] += s[6] * 1000498
	s[14] += s[13] * 1000509
	s[15] += s[20] * 1000520
}

//go:noinline
func slog32(n int, s *[checksMax]int) {
	ctx := context.Background()
	for range n {
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[0]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[1]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[2]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[3]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[4]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[5]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[6]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[7]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[8]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[9]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[10]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[11]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[12]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[13]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[14]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[15]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[16]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[17]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[18]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[19]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[20]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[21]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[22]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[23]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[24]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[25]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[26]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[27]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[28]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[29]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[30]++
		}
		if slogLine.v.Enabled(ctx, slog.LevelDebug) {
			s[31]++
		}
	}
}

func gap12(s *[checksMax]int) {
	s[0] += s[12] * 1000003
	s[1] += s[19] * 1000015
	s[2] += s[26] * 1000027
	s[3] += s[1] * 1000039
	s[4] += s[8] * 1000051
	s[5] += s[15] * 1000063
	s[6] += s[22] * 1000075
	s[7] += s[29] * 1000087
	s[8] += s[4] * 1000099
	s[9] += s[11] * 1000111
	s[10] += s[18] * 1000123
	s[11] += s[25] * 1000135
	s[12] += s[0] * 1000147
	s[13] += s[7] * 1000159
	s[14] += s[14] * 1000171
	s[15] += s[21] * 1000183
	s[16] += s[28] * 1000195
	s[17] += s[3] * 1000207
	s[18] += s[10] * 1000219
	s[19] += s[17] * 1000231
	s[20] += s[24] * 1000243
	s[21] += s[31] * 1000255
	s[22] += s[6] * 1000267
	s[23] += s[13] * 1000279
	s[24] += s[20] * 1000291
	s[25] += s[27] * 1000303
	s[26] += s[2] * 1000315
	s[27] += s[9] * 1000327
	s[28] += s[16] * 1000339
	s[29] += s[23] * 1000351
	s[30] += s[30] * 1000363
	s[31] += s[5] * 1000375
	s[0] += s[12] * 1000387
	s[1] += s[19] * 1000399
	s[2] += s[26] * 1000411
	s[3] += s[1] * 1000423
	s[4] += s[8] * 1000435
	s[5] += s[15] * 1000447
	s[6] += s[22] * 1000459
	s[7] += s[29] * 1000471
	s[8] += s[4] * 1000483
	s[9] += s[11] * 1000495
	s[10] += s[18] * 1000507
	s[11] += s[25] * 1000519
	s[12] += s[0] * 1000531
	s[13] += s[7] * 1000543
	s[14] += s[14] * 1000555
	s[15] += s[21] * 1000567
}

//go:noinline
func key1(n int, s *[checksMax]int) {
	for range n {
		if keyLine.v.Enabled() {
			s[0]++
		}
	}
}

func gap13(s *[checksMax]int) {
	s[0] += s[13] * 1000003
	s[1] += s[20] * 1000016
	s[2] += s[27] * 1000029
	s[3] += s[2] * 1000042
	s[4] += s[9] * 1000055
	s[5] += s[16] * 1000068
	s[6] += s[23] * 1000081
	s[7] += s[30] * 1000094
	s[8] += s[5] * 1000107
	s[9] += s[12] * 1000120
	s[10] += s[19] * 1000133
	s[11] += s[26] * 1000146
	s[12] += s[1] * 1000159
	s[13] += s[8] * 1000172
	s[14] += s[15] * 1000185
	s[15] += s[22] * 1000198
	s[16] += s[29] * 1000211
	s[17] += s[4] * 1000224
	s[18] += s[11] * 1000237
	s[19] += s[18] * 1000250
	s[20] += s[25] * 1000263
	s[21] += s[0] * 1000276
	s[22] += s[7] * 1000289
	s[23] += s[14] * 1000302
	s[24] += s[21] * 1000315
	s[25] += s[28] * 1000328
	s[26] += s[3] * 1000341
	s[27] += s[10] * 1000354
	s[28] += s[17] * 1000367
	s[29] += s[24] * 1000380
	s[30] += s[31] * 1000393
	s[31] += s[6] * 1000406
	s[0] += s[13] * 1000419
	s[1] += s[20] * 1000432
	s[2] += s[27] * 1000445
	s[3] += s[2] * 1000458
	s[4] += s[9] * 1000471
	s[5] += s[16] * 1000484
	s[6] += s[23] * 1000497
	s[7] += s[30] * 1000510
	s[8] += s[5] * 1000523
	s[9] += s[12] * 1000536
	s[10] += s[19] * 1000549
	s[11] += s[26] * 1000562
	s[12] += s[1] * 1000575
	s[13] += s[8] * 1000588
	s[14] += s[15] * 1000601
	s[15] += s[22] * 1000614
}

//go:noinline
func key32(n int, s *[checksMax]int) {
	for range n {
		if keyLine.v.Enabled() {
			s[0]++
		}
		if keyLine.v.Enabled() {
			s[1]++
		}
		if keyLine.v.Enabled() {
			s[2]++
		}
		if keyLine.v.Enabled() {
			s[3]++
		}
		if keyLine.v.Enabled() {
			s[4]++
		}
		if keyLine.v.Enabled() {
			s[5]++
		}
		if keyLine.v.Enabled() {
			s[6]++
		}
		if keyLine.v.Enabled() {
			s[7]++
		}
		if keyLine.v.Enabled() {
			s[8]++
		}
		if keyLine.v.Enabled() {
			s[9]++
		}
		if keyLine.v.Enabled() {
			s[10]++
		}
		if keyLine.v.Enabled() {
			s[11]++
		}
		if keyLine.v.Enabled() {
			s[12]++
		}
		if keyLine.v.Enabled() {
			s[13]++
		}
		if keyLine.v.Enabled() {
			s[14]++
		}
		if keyLine.v.Enabled() {
			s[15]++
		}
		if keyLine.v.Enabled() {
			s[16]++
		}
		if keyLine.v.Enabled() {
			s[17]++
		}
		if keyLine.v.Enabled() {
			s[18]++
		}
		if keyLine.v.Enabled() {
			s[19]++
		}
		if keyLine.v.Enabled() {
			s[20]++
		}
		if keyLine.v.Enabled() {
			s[21]++
		}
		if keyLine.v.Enabled() {
			s[22]++
		}
		if keyLine.v.Enabled() {
			s[23]++
		}
		if keyLine.v.Enabled() {
			s[24]++
		}
		if keyLine.v.Enabled() {
			s[25]++
		}
		if keyLine.v.Enabled() {
			s[26]++
		}
		if keyLine.v.Enabled() {
			s[27]++
		}
		if keyLine.v.Enabled() {
			s[28]++
		}
		if keyLine.v.Enabled() {
			s[29]++
		}
		if keyLine.v.Enabled() {
			s[30]++
		}
		if keyLine.v.Enabled() {
			s[31]++
		}
	}
}

func gap14(s *[checksMax]int) {
	s[0] += s[14] * 1000003
	s[1] += s[21] * 1000017
	s[2] += s[28] * 1000031
	s[3] += s[3] * 1000045
	s[4] += s[10] * 1000059
	s[5] += s[17] * 1000073
	s[6] += s[24] * 1000087
	s[7] += s[31] * 1000101
	s[8] += s[6] * 1000115
	s[9] += s[13] * 1000129
	s[10] += s[20] * 1000143
	s[11] += s[27] * 1000157
	s[12] += s[2] * 1000171
	s[13] += s[9] * 1000185
	s[14] += s[16] * 1000199
	s[15] += s[23] * 1000213
	s[16] += s[30] * 1000227
	s[17] += s[5] * 1000241
	s[18] += s[12] * 1000255
	s[19] += s[19] * 1000269
	s[20] += s[26] * 1000283
	s[21] += s[1] * 1000297
	s[22] += s[8] * 1000311
	s[23] += s[15] * 1000325
	s[24] += s[22] * 1000339
	s[25] += s[29] * 1000353
	s[26] += s[4] * 1000367
	s[27] += s[11] * 1000381
	s[28] += s[18] * 1000395
	s[29] += s[25] * 1000409
	s[30] += s[0] * 1000423
	s[31] += s[7] * 1000437
	s[0] += s[14] * 1000451
	s[1] += s[21] * 1000465
	s[2] += s[28] * 1000479
	s[3] += s[3] * 1000493
	s[4] += s[10] * 1000507
	s[5] += s[17] * 1000521
	s[6] += s[24] * 1000535
	s[7] += s[31] * 1000549
	s[8] += s[6] * 1000563
	s[9] += s[13] * 1000577
	s[10] += s[20] * 1000591
	s[11] += s[27] * 1000605
	s[12] += s[2] * 1000619
	s[13] += s[9] * 1000633
	s[14] += s[16] * 1000647
	s[15] += s[23] * 1000661
}

// gaps are the functions in between.
var gaps = []func(*[checksMax]int){
	gap0, gap1, gap2, gap3, gap4, gap5, gap6, gap7, gap8, gap9, gap10, gap11, gap12, gap13, gap14,
}
