package callprog

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"go/format"
	"regexp"
	"sort"
	"strings"
	"text/template"
)

const ordersEncoded = 40

func jsonEncode() (func() error, error) {
	orders := newOrders(ordersEncoded)
	return same(func() ([]byte, error) { return json.Marshal(orders) })
}

func jsonDecode() (func() error, error) {
	want := newOrders(ordersEncoded)
	text, err := json.Marshal(want)
	if err != nil {
		return nil, err
	}
	return func() error {
		var got []order
		if err := json.Unmarshal(text, &got); err != nil {
			return err
		}
		last := len(want) - 1
		if len(got) != len(want) || got[last].ID != want[last].ID || got[last].Total != want[last].Total {
			return fmt.Errorf("decoded %d orders, the last %+v; expected %d, %+v", len(got), got[last:], len(want), want[last])
		}
		return nil
	}, nil
}

func flateCompress() (func() error, error) {
	text := []byte(newText(300))
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	return same(func() ([]byte, error) {
		out.Reset()
		w.Reset(&out)
		if _, err := w.Write(text); err != nil {
			return nil, err
		}
		err := w.Close()
		return out.Bytes(), err
	})
}

const page = `{{define "line"}}    {{printf "%-24s" .Article}} {{.Quantity}} x {{printf "%.2f" .Price}}{{end -}}
{{range $i, $o := .}}{{if .Paid}}PAID{{else}}OPEN{{end}} {{$i}}. {{.Customer | upper}} ({{.State}}), {{len .Lines}} lines
{{with .Email}}  mail {{.}}
{{end}}{{range .Lines}}{{template "line" .}}
{{end}}  labels:{{range $k, $v := .Labels}} {{$k}}={{$v}}{{end}}
  total {{if and .Paid (gt .Total 1000.0)}}large {{end}}{{printf "%.2f" .Total}}
{{end}}`

func templateExecute() (func() error, error) {
	t, err := template.New("page").Funcs(template.FuncMap{"upper": strings.ToUpper}).Parse(page)
	if err != nil {
		return nil, err
	}
	orders := newOrders(20)
	var out bytes.Buffer
	return same(func() ([]byte, error) {
		out.Reset()
		err := t.Execute(&out, orders)
		return out.Bytes(), err
	})
}

type byCustomer []order

func (s byCustomer) Len() int           { return len(s) }
func (s byCustomer) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s byCustomer) Less(i, j int) bool { return s[i].Customer < s[j].Customer }

type byID []*order

func (s byID) Len() int           { return len(s) }
func (s byID) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s byID) Less(i, j int) bool { return s[i].ID < s[j].ID }

// sortInterface sorts by two types: values by a string, pointers by a number.
func sortInterface() (func() error, error) {
	orders := newOrders(200)
	values, pointers := make(byCustomer, len(orders)), make(byID, len(orders))
	return func() error {
		copy(values, orders)
		for i := range orders {
			pointers[i] = &orders[i]
		}
		sort.Sort(values)
		sort.Sort(pointers)
		last := len(orders) - 1
		if values[0].Customer > values[last].Customer || pointers[0].ID > pointers[last].ID {
			return fmt.Errorf("not sorted")
		}
		return nil
	}, nil
}

var accessLog = regexp.MustCompile(`(\d+):(\d+):\d+ (\w+) app\[(\d+)\]: (GET|POST) /([a-z]+)/([a-z]+)\?id=(\d+) .* took (\d+)ms`)

func regexpFind() (func() error, error) {
	const lines = 20
	text := newText(lines)
	return func() error {
		if found := accessLog.FindAllStringSubmatch(text, -1); len(found) != lines {
			return fmt.Errorf("found %d lines, expected %d", len(found), lines)
		}
		return nil
	}, nil
}

func fmtFprintf() (func() error, error) {
	orders := newOrders(20)
	var out bytes.Buffer
	return same(func() ([]byte, error) {
		out.Reset()
		for i := range orders {
			o := &orders[i]
			fmt.Fprintf(&out, "%6d %-20s %v %8.2f %t %s\n", o.ID, o.Customer, o.State, o.Total, o.Paid, o.Placed)
			for _, l := range o.Lines {
				fmt.Fprintf(&out, "  %+v\n", l)
			}
		}
		return out.Bytes(), nil
	})
}

// goFormat parses and prints a program of some hundred lines.
func goFormat() (func() error, error) {
	var b strings.Builder
	b.WriteString("package p\n")
	for i, w := range words {
		fmt.Fprintf(&b, `
// %[1]s%[2]d counts what it has seen, up to a limit.
func %[1]s%[2]d(in []int, limit int) (n int, err error) {
	for i, x := range in {
		if x > limit && i %% 2 == 0 || x == %[2]d { n += x*i - limit } else { n-- }
	}
	switch { case n < 0: return 0, errors.New("%[1]s: below zero"); case n > limit: n = limit }
	return n, nil
}
`, w, i)
	}
	source := []byte(b.String())
	return same(func() ([]byte, error) { return format.Source(source) })
}
