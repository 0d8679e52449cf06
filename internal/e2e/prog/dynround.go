package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

type dynSite = func(*dynCaller)

// The sites, by what a call takes: those of dynQuick allocate nothing.
var (
	dynQuick, dynMedium, dynSlow []dynSite
	dynFills                     []func(*dynCaller)
)

func addSites[P pads]() {
	dynQuick = append(dynQuick, siteInt[P], siteClosure[P], sitePlain[P], siteBound[P], siteDictionary[P],
		siteFloat[P], sitePair[P], siteBig[P], siteMany[P], siteArray[P])
	dynMedium = append(dynMedium, siteSum[P], siteDefer[P], sitePanic[P], siteTrace[P])
	dynSlow = append(dynSlow, siteGo[P], siteDeep[P], siteWait[P], siteStack[P])
	var p P
	dynFills = append(dynFills, func(c *dynCaller) { c.dict[len(p)] = dictionaries[P](c.id) })
}

func init() {
	addSites[[1]byte]()
	addSites[[2]byte]()
	addSites[[3]byte]()
	addSites[[4]byte]()
	addSites[[5]byte]()
	addSites[[6]byte]()
	addSites[[7]byte]()
	addSites[[8]byte]()
	addSites[[9]byte]()
	addSites[[10]byte]()
	addSites[[11]byte]()
	addSites[[12]byte]()
	addSites[[13]byte]()
	addSites[[14]byte]()
	addSites[[15]byte]()
	addSites[[16]byte]()
	addSites[[17]byte]()
	addSites[[18]byte]()
	addSites[[19]byte]()
	addSites[[20]byte]()
	dynSlow = append(dynSlow, stdSort, stdText, stdReflect, stdOnce, stdTimer)
}

// round makes the calls of one round. A share of the slow ones is in each.
func (c *dynCaller) round(quickOnly bool) {
	for _, s := range dynQuick {
		s(c)
	}
	if quickOnly {
		return
	}
	r := c.next() >> 8
	for range 4 {
		r = r*5 + 1
		dynMedium[r%uint64(len(dynMedium))](c)
	}
	if r%8 == 0 {
		dynSlow[c.next()>>8%uint64(len(dynSlow))](c)
		c.fresh()
	}
}

// newStack makes a round on a goroutine whose stack is small yet.
func (c *dynCaller) newStack() {
	var wg sync.WaitGroup
	wg.Go(func() {
		c.round(false)
		siteDeep[[1]byte](c)
	})
	wg.Wait()
}

// The rest calls by way of the standard library, whose calls are promoted, too.

func stdSort(c *dynCaller) {
	xs := make([]uint64, 50)
	for i := range xs {
		xs[i] = c.next()
	}
	ys := slices.Clone(xs)
	sort.Slice(xs, func(i, j int) bool { return xs[i] < xs[j] })
	sort.Sort(backwards(ys))
	slices.Reverse(ys)
	if !slices.Equal(xs, ys) || !slices.IsSorted(xs) {
		c.shared.fail("sorted %v and %v", xs, ys)
	}
}

type backwards []uint64

func (b backwards) Len() int           { return len(b) }
func (b backwards) Less(i, j int) bool { return b[i] > b[j] }
func (b backwards) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }

type greeting uint64

func (g greeting) String() string { return fmt.Sprintf("hello %d", uint64(g)) }

func stdText(c *dynCaller) {
	upper := strings.Map(func(r rune) rune {
		if r == 'l' {
			return 'L'
		}
		return r
	}, fmt.Sprint(greeting(c.x)))
	var b bytes.Buffer
	_, err := io.Copy(&b, io.TeeReader(io.LimitReader(strings.NewReader(upper), 100), io.Discard))
	same(c, "text", 0, b.String(), fmt.Sprintf("heLLo %d", c.x))
	if err != nil {
		c.shared.fail("copy: %v", err)
	}
}

func stdReflect(c *dynCaller) {
	i := c.pick(0)
	out := reflect.ValueOf(c.captured[i].int).Call([]reflect.Value{reflect.ValueOf(c.x)})
	same(c, "reflect", i, out[0].Uint(), answerInt(c.n(i), c.x))
	f := c.captured[i].int
	made := reflect.MakeFunc(reflect.TypeFor[intFunc](), func(args []reflect.Value) []reflect.Value {
		return []reflect.Value{reflect.ValueOf(f(args[0].Uint()))}
	}).Interface().(intFunc)
	same(c, "MakeFunc", i, made(c.x), answerInt(c.n(i), c.x))
}

func stdOnce(c *dynCaller) {
	var once sync.Once
	n := 0
	for range 3 {
		once.Do(func() { n++ })
	}
	value := sync.OnceValue(func() int { return n + 1 })
	same(c, "once", 0, value()+value(), 4)
}

func stdTimer(c *dynCaller) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Microsecond)
	defer cancel()
	done := make(chan uint64, 2)
	x := c.x
	context.AfterFunc(ctx, func() { done <- x })
	time.AfterFunc(time.Microsecond, func() { done <- x })
	same(c, "timers", 0, [2]uint64{<-done, <-done}, [2]uint64{x, x})
}
