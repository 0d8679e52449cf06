package host

import "encoding/binary"

// cpuid0 executes CPUID with leaf 0 and returns EBX, EDX and ECX: the maker.
func cpuid0() (ebx, edx, ecx uint32)

// Vendor returns the maker's twelve letters, such as "AuthenticAMD" or
// "GenuineIntel" (AMD APM vol. 3, E.3.1; Intel SDM vol. 2A, CPUID).
func Vendor() string {
	ebx, edx, ecx := cpuid0()
	var b []byte
	for _, r := range []uint32{ebx, edx, ecx} {
		b = binary.LittleEndian.AppendUint32(b, r)
	}
	return string(b)
}
