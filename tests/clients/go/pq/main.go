// lib/pq: database/sql with texts, CopyIn, its listener, arrays, cancellation by context.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"

	. "streamgate/clients/checks"
)

func open(more string) *sql.DB {
	database, err := sql.Open("postgres", more) // the rest comes from the PG variables
	No(err)
	return database
}

func with(name string, check func(database *sql.DB)) {
	for suffix, more := range map[string]string{"": "", "_binary": "binary_parameters=yes"} {
		Run(name+suffix, func() {
			database := open(more)
			defer database.Close()
			database.SetMaxOpenConns(1) // temporary tables are the session's
			check(database)
		})
	}
}

func fails(state string, err error) *pq.Error {
	var postgres *pq.Error
	if !errors.As(err, &postgres) || string(postgres.Code) != state {
		panic(fmt.Sprintf("%v, not %s", err, state))
	}
	return postgres
}

func execute(database *sql.DB, text string, arguments ...any) {
	if _, err := database.Exec(text, arguments...); err != nil {
		panic(fmt.Sprintf("%s: %v", text, err))
	}
}

func types(database *sql.DB) {
	moment := time.Date(2024, 2, 28, 23, 2, 3, 4000, time.UTC)
	var b bool
	var i int64
	var f float64
	var n, s, u, j string
	var t time.Time
	var y []byte
	var a []int64
	var z sql.NullString
	No(database.QueryRow("SELECT $1::bool, $2::int8, $3::float8, $4::numeric(10,2), $5::text, $6::timestamptz, $7::bytea, $8::uuid, $9::jsonb, $10::int8[], $11::text",
		true, int64(-5), 1.5, "1.50", "it's", moment, []byte{0, 255}, "00112233-4455-6677-8899-aabbccddeeff", `{"a": 1}`, pq.Array([]int64{1, 2}), nil,
	).Scan(&b, &i, &f, &n, &s, &t, &y, &u, &j, pq.Array(&a), &z))
	Equal([]any{b, i, f, n, s, t.UTC(), y, u, j, a, z.Valid}, []any{true, int64(-5), 1.5, "1.50", "it's", moment, []byte{0, 255}, "00112233-4455-6677-8899-aabbccddeeff", `{"a": 1}`, []int64{1, 2}, false})
}

func parameters(database *sql.DB) {
	execute(database, "CREATE TEMP TABLE untyped (id int, name text, at timestamptz)")
	statement, err := database.Prepare("INSERT INTO untyped VALUES ($1, $2, $3)")
	No(err)
	for id := 1; id <= 3; id++ {
		result, err := statement.Exec(id, fmt.Sprint("n", id), time.Date(2024, time.Month(id), 1, 0, 0, 0, 0, time.UTC))
		No(err)
		count, _ := result.RowsAffected()
		Equal(count, int64(1))
	}
	No(statement.Close())
	for condition, argument := range map[string]any{"id = ANY($1)": pq.Array([]int64{2, 9}), "name = ANY($1)": pq.Array([]string{"n2"}), "id = $1": 2, "name LIKE $1": "%2", "at::date = $1": "2024-02-01"} {
		var id int
		if err := database.QueryRow("SELECT id FROM untyped WHERE "+condition, argument).Scan(&id); err != nil {
			panic(fmt.Sprintf("%s: %v", condition, err))
		}
		Equal(id, 2)
	}
	var id int
	No(database.QueryRow("SELECT id FROM untyped ORDER BY id LIMIT $1 OFFSET $2", 1, 1).Scan(&id))
	Equal(id, 2)
}

func failures(database *sql.DB) {
	for _, row := range [][2]string{{"42P01", "SELECT * FROM nowhere"}, {"42703", "SELECT nothing"}, {"42601", "SELEC 1"}, {"22P02", "SELECT 'x'::int"}, {"22012", "SELECT 1/0"}} {
		_, err := database.Exec(row[1])
		fails(row[0], err)
	}
	execute(database, "CREATE TEMP TABLE strict (id int PRIMARY KEY)")
	execute(database, "INSERT INTO strict VALUES ($1)", 1)
	_, err := database.Exec("INSERT INTO strict VALUES ($1)", 1)
	Equal(fails("23505", err).Constraint, "strict_pkey")
}

func transactions(database *sql.DB) {
	execute(database, "CREATE TEMP TABLE tx (a int)")
	tx, err := database.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	No(err)
	_, err = tx.Exec("INSERT INTO tx VALUES (1)")
	No(err)
	_, err = tx.Exec("SELECT 1/0")
	fails("22012", err)
	_, err = tx.Exec("SELECT 1")
	fails("25P02", err)
	No(tx.Rollback())
	tx, err = database.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	No(err)
	_, err = tx.Exec("CREATE TABLE read_only_no (a int)")
	fails("25006", err)
	No(tx.Rollback())
	var count int
	No(database.QueryRow("SELECT count(*) FROM tx").Scan(&count))
	Equal(count, 0)
}

func copyIn(database *sql.DB) {
	execute(database, "CREATE TEMP TABLE copied (id int, name text)")
	tx, err := database.Begin()
	No(err)
	statement, err := tx.Prepare(pq.CopyIn("copied", "id", "name"))
	No(err)
	for id := range 200 {
		_, err = statement.Exec(id, fmt.Sprint("tab\t", id))
		No(err)
	}
	_, err = statement.Exec()
	No(err)
	No(statement.Close())
	No(tx.Commit())
	var count int
	No(database.QueryRow("SELECT count(*) FROM copied WHERE name LIKE 'tab\t%'").Scan(&count))
	Equal(count, 200)
}

func cancel(database *sql.DB) {
	late, done := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer done()
	_, err := database.ExecContext(late, "SELECT pg_sleep(20)")
	if err == nil {
		panic("no error")
	}
	var one int
	No(database.QueryRow("SELECT 1").Scan(&one))
}

func columns(database *sql.DB) {
	rows, err := database.Query("SELECT 1::int4 AS a, 'x'::varchar(9) AS b, 1.5::numeric(8,3) AS c")
	No(err)
	defer rows.Close()
	types, err := rows.ColumnTypes()
	No(err)
	precision, scale, _ := types[2].DecimalSize()
	length, _ := types[1].Length()
	Equal([]any{types[0].DatabaseTypeName(), types[1].DatabaseTypeName(), length, precision, scale}, []any{"INT4", "VARCHAR", int64(9), int64(8), int64(3)})
}

func main() {
	with("connects", func(database *sql.DB) {
		var user string
		var ssl bool
		No(database.QueryRow("SELECT current_user").Scan(&user))
		No(database.QueryRow("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&ssl))
		Equal([]any{user, ssl}, []any{"app", true})
	})
	Run("wrong_password", func() {
		fails("28P01", open("password=wrong").Ping())
	})
	with("types_both_ways", types)
	with("parameters_without_types", parameters)
	with("errors", failures)
	with("transactions", transactions)
	with("copy_in", copyIn)
	with("cancel", cancel)
	with("columns", columns)
	Run("notifications", func() {
		listener := pq.NewListener("", time.Second, time.Minute, nil)
		defer listener.Close()
		No(listener.Listen("news"))
		database := open("")
		defer database.Close()
		execute(database, "NOTIFY news, 'hello'")
		select {
		case heard := <-listener.Notify:
			Equal([]string{heard.Channel, heard.Extra}, []string{"news", "hello"})
		case <-time.After(10 * time.Second):
			panic("nothing heard")
		}
	})
	Done()
}
