package amd64

import (
	"encoding/hex"
	"strings"
	"testing"
)

// parseHex reads bytes written as "48 8b 05", spaces as one likes.
func parseHex(s string) ([]byte, error) {
	return hex.DecodeString(strings.Join(strings.Fields(s), ""))
}

func mustHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := parseHex(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}
