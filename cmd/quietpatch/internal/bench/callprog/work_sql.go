package callprog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"time"
)

// memory is a driver whose only table is in memory. database/sql is the work.
type memory struct{ rows [][]driver.Value }

func (m *memory) Connect(context.Context) (driver.Conn, error) { return &memoryConn{m}, nil }
func (m *memory) Driver() driver.Driver                        { return m }
func (m *memory) Open(string) (driver.Conn, error)             { return &memoryConn{m}, nil }

type memoryConn struct{ m *memory }

func (c *memoryConn) Prepare(string) (driver.Stmt, error) { return &memoryStmt{c.m}, nil }
func (c *memoryConn) Close() error                        { return nil }
func (c *memoryConn) Begin() (driver.Tx, error)           { return memoryTx{}, nil }

type memoryTx struct{}

func (memoryTx) Commit() error   { return nil }
func (memoryTx) Rollback() error { return nil }

type memoryStmt struct{ m *memory }

func (s *memoryStmt) Close() error  { return nil }
func (s *memoryStmt) NumInput() int { return 2 }

func (s *memoryStmt) Exec([]driver.Value) (driver.Result, error) { return driver.RowsAffected(1), nil }

// Query returns as many rows as the second argument says.
func (s *memoryStmt) Query(args []driver.Value) (driver.Rows, error) {
	n, ok := args[1].(int64)
	if !ok {
		return nil, fmt.Errorf("the second argument is a %T, expected an int64", args[1])
	}
	return &memoryRows{rows: s.m.rows[:n]}, nil
}

type memoryRows struct{ rows [][]driver.Value }

func (r *memoryRows) Columns() []string { return []string{"id", "customer", "placed", "total", "paid"} }
func (r *memoryRows) Close() error      { return nil }

func (r *memoryRows) Next(dest []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	copy(dest, r.rows[0])
	r.rows = r.rows[1:]
	return nil
}

const sqlRows = 20

// sqlQuery reads rows in a transaction, by a prepared statement, and writes one.
func sqlQuery() (func() error, error) {
	m := &memory{}
	for _, o := range newOrders(sqlRows) {
		m.rows = append(m.rows, []driver.Value{o.ID, o.Customer, o.Placed, o.Total, o.Paid})
	}
	db := sql.OpenDB(m)
	query, err := db.Prepare("select id, customer, placed, total, paid from orders where paid = ? limit ?")
	if err != nil {
		return nil, err
	}
	update, err := db.Prepare("update orders set paid = ? where id = ?")
	if err != nil {
		return nil, err
	}
	return func() error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		n, err := scanOrders(tx.Stmt(query))
		if err == nil && n != sqlRows {
			err = fmt.Errorf("read %d rows, expected %d", n, sqlRows)
		}
		if err != nil {
			return err
		}
		if _, err := tx.Stmt(update).Exec(true, int64(n)); err != nil {
			return err
		}
		return tx.Commit()
	}, nil
}

func scanOrders(query *sql.Stmt) (n int, err error) {
	rows, err := query.Query(true, sqlRows)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var o order
		var placed sql.Null[time.Time]
		var total sql.NullFloat64
		if err := rows.Scan(&o.ID, &o.Customer, &placed, &total, &o.Paid); err != nil {
			return n, err
		}
		if !placed.Valid || !total.Valid || o.Customer == "" {
			return n, fmt.Errorf("row %d is %+v", n, o)
		}
		n++
	}
	return n, rows.Err()
}
