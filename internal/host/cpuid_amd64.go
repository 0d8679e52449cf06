package host

import "encoding/binary"

// cpuid executes CPUID.
func cpuid(leaf, sub uint32) (eax, ebx, ecx, edx uint32)

// Vendor returns the maker's twelve letters, such as "AuthenticAMD" or
// "GenuineIntel" (AMD APM vol. 3, E.3.1; Intel SDM vol. 2A, CPUID).
func Vendor() string {
	_, ebx, ecx, edx := cpuid(0, 0)
	var b []byte
	for _, r := range []uint32{ebx, edx, ecx} {
		b = binary.LittleEndian.AppendUint32(b, r)
	}
	return string(b)
}

// RDPID reports whether the CPU has the instruction RDPID (CPUID leaf 7, ECX bit 22;
// AMD APM vol. 3, E.3.6; Intel SDM vol. 2A, CPUID).
func RDPID() bool {
	const leaf, bit = 7, 1 << 22
	if highest, _, _, _ := cpuid(0, 0); highest < leaf {
		return false
	}
	_, _, ecx, _ := cpuid(leaf, 0)
	return ecx&bit != 0
}
