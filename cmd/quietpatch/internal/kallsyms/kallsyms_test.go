package kallsyms

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	s, err := Parse(strings.NewReader(`0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000010 t __pfx_do_sync_core
ffffffff81000020 t do_sync_core
ffffffff81000040 t flush_tlb_func.constprop.0
ffffffff82000000 D jiffies
ffffffffc0000000 t late	[a_module]
ffffffffc0000100 t last	[a_module]
ffffffffc0005000 t other	[b_module]
ffffffffc0006000 t b	[b_module]
ffffffff81000080 t after_the_module
ffffffff81200000 T _etext
ffffffff81200000 T after_the_end
ffffffff81300000 t init
ffffffff81300100 T _einittext
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		addr       uint64
		at, around string
	}{
		{0xffffffff81000020, "do_sync_core", "do_sync_core"},
		{0xffffffff8100003f, "", "do_sync_core"},
		{0xffffffff81000010, "", "_stext"},
		{0xffffffff81000040, "flush_tlb_func", "flush_tlb_func"},
		{0xffffffff81000085, "", "after_the_module"},
		{0xffffffffc0000000, "late", "late"},
		{0xffffffff80ffffff, "", ""},
		{0xffffffff81000080 + largest - 1, "", "after_the_module"},
		{0xffffffff81000080 + largest, "", ""},
		{0xffffffff81200001, "", ""}, // no function begins at the end
		{0xffffffff81300010, "", "init"},
		{0xffffffff81300110, "", ""},
		{0xffffffffc0000010, "", "late"},
		{0xffffffffc0000110, "", "last"},
		{0xffffffffc0002000, "", ""}, // of a module that was loaded later
		{0xffffffffc0005fff, "", "other"},
		{0xffffffffc0007000, "", ""},
	} {
		at, _ := s.At(test.addr)
		around, _ := s.Around(test.addr)
		if at != test.at || around != test.around {
			t.Errorf("%#x: got %q, %q, want %+v", test.addr, at, around, test)
		}
	}
	if got := s.Named("flush_tlb_func"); !slices.Equal(got, []uint64{0xffffffff81000040}) || s.Named("jiffies") != nil {
		t.Errorf("flush_tlb_func begins at %#x", got)
	}
	var none *Table
	if _, ok := none.At(1); ok || none.Named("late") != nil {
		t.Error("no symbols name something")
	}
	if _, err := Parse(strings.NewReader("0000000000000000 T _stext\n")); !errors.Is(err, ErrHidden) {
		t.Errorf("hidden addresses: got %v", err)
	}
	if _, err := Parse(strings.NewReader("zz T _stext\n")); err == nil {
		t.Error("junk is read")
	}
}
