//go:build ignore

package callprog

// This file is left out by its tag here, since the module of the command does not
// require google.golang.org/protobuf. The copy that is built has no tag.

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

func init() { optional = append(optional, workload{"protobuf", protobuf}) }

// protobuf encodes and decodes orders as messages of the kind that needs no
// generated code.
func protobuf() (func() error, error) {
	var list []any
	for _, o := range newOrders(10) {
		fields := map[string]any{"id": o.ID, "customer": o.Customer, "state": o.State.String(), "total": o.Total, "paid": o.Paid}
		var lines []any
		for _, l := range o.Lines {
			lines = append(lines, map[string]any{"article": l.Article, "quantity": l.Quantity, "price": l.Price})
		}
		fields["lines"] = lines
		list = append(list, fields)
	}
	want, err := structpb.NewList(list)
	if err != nil {
		return nil, err
	}
	var buf []byte
	return func() error {
		var err error
		if buf, err = proto.Marshal(want); err != nil {
			return err
		}
		var got structpb.ListValue
		if err := proto.Unmarshal(buf, &got); err != nil {
			return err
		}
		if len(got.Values) != len(want.Values) {
			return fmt.Errorf("decoded %d values, expected %d", len(got.Values), len(want.Values))
		}
		return nil
	}, nil
}
