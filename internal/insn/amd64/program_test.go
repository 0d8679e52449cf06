package amd64

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// programSource links a good part of the standard library, with its assembly:
// crypto, TLS with chacha20poly1305, bytealg, big numbers, checksums.
const programSource = `package main

import (
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/mlkem"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"image/jpeg"
	"math"
	"math/big"
	"net/http"
	"os"
	"regexp"
	"strings"
	"text/template"
)

func main() {
	block, _ := aes.NewCipher(make([]byte, 32))
	gcm, _ := cipher.NewGCM(block)
	fmt.Println(gcm.NonceSize(), sha1.Sum(nil), md5.Sum(nil), sha256.Sum256(nil), sha512.Sum512(nil), sha3.Sum256(nil))
	fmt.Println(crc32.Checksum(nil, crc32.MakeTable(crc32.Castagnoli)), crc64.Checksum(nil, crc64.MakeTable(crc64.ISO)))
	fmt.Println(bytes.Count([]byte(os.Args[0]), []byte("a")), strings.Index(os.Args[0], "bc"), math.FMA(1, 2, 3))
	fmt.Println(new(big.Int).Exp(big.NewInt(2), big.NewInt(99), big.NewInt(97)), regexp.MustCompile("a+").String())
	mlkem.GenerateKey768()
	json.NewEncoder(os.Stdout).Encode(os.Args)
	template.Must(template.New("").Parse("{{.}}")).Execute(os.Stdout, 1)
	img, err := jpeg.Decode(os.Stdin)
	fmt.Println(img, err, gzip.BestSpeed)
	fmt.Println(http.ListenAndServeTLS(":0", "", "", nil))
}
`

// buildProgram builds programSource for linux/amd64, on any host.
func buildProgram(t *testing.T, goamd64 string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a program")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.go": programSource,
		"go.mod":  "module program\n\ngo 1.25\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0",
		"GOOS=linux", "GOARCH=amd64", "GOAMD64="+goamd64)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, msg)
	}
	return out
}

// function is the machine code of one function, without the padding behind it.
type function struct {
	name string
	addr uint64
	code []byte
}

// holdsData are the only functions of the standard library that are not code
// from start to end: markers that jump over 29 bytes of signature. Where one
// wrongly decoded instruction of that ends, decoders need not agree.
const holdsData = "crypto/internal/boring/sig."

// functions returns the functions of an ELF file, sorted by address.
func functions(t *testing.T, path string) (all []function) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text := file.Section(".text")
	data, err := text.Data()
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{}
	for _, s := range symbols {
		start, end := s.Value-text.Addr, s.Value-text.Addr+s.Size
		if elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Size == 0 || end > uint64(len(data)) || seen[s.Value] {
			continue
		}
		if strings.HasPrefix(s.Name, holdsData) {
			continue
		}
		seen[s.Value] = true
		all = append(all, function{s.Name, s.Value, data[start:end]})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].addr < all[j].addr })
	if len(all) < 5000 {
		t.Fatalf("%s: %d functions, expected more", path, len(all))
	}
	return all
}

// walk decodes a function from its start to its end and calls visit for each
// instruction.
func walk(t *testing.T, f function, visit func(off int, in Inst)) {
	t.Helper()
	for off := 0; off < len(f.code); {
		in, err := Decode(f.code[off:])
		if err != nil {
			t.Errorf("%s+%#x: % x: %v", f.name, off, f.code[off:min(off+maxInstLen, len(f.code))], err)
			return
		}
		visit(off, in)
		off += int(in.Len)
	}
}
