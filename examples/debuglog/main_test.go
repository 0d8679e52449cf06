package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

func Example() {
	h := (&server{out: os.Stdout}).handler()
	do := func(method, url string) int {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(method, url, nil))
		return rec.Code
	}
	do("GET", "/work")
	do("POST", "/debug?on=true")
	do("GET", "/work")
	do("POST", "/debug?on=false")
	do("GET", "/work")
	fmt.Println(do("POST", "/debug?on=maybe"))
	// Output:
	// work: request from /work
	// work: sum 499500
	// 400
}

// BenchmarkWork: a request while the key is off.
func BenchmarkWork(b *testing.B) {
	h := (&server{out: os.Stdout}).handler()
	req := httptest.NewRequest(http.MethodGet, "/work", nil)
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), req)
	}
}
