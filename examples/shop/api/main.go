// shop-api takes orders: `serve` puts them into a queue in Redis, `work` moves them to PostgreSQL, and `migrate` makes the table.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
	_ "github.com/lib/pq" // reads PGHOST, PGUSER, PGPASSWORD and the others
)

const (
	table    = `CREATE TABLE IF NOT EXISTS orders (at timestamptz NOT NULL DEFAULT now(), worker text NOT NULL)`
	queue    = "orders"
	patience = 2 * time.Minute
)

func main() {
	db, err := sql.Open("postgres", "")
	if err != nil {
		log.Fatal(err)
	}
	pool := &redis.Pool{Dial: func() (redis.Conn, error) { return redis.Dial("tcp", os.Getenv("QUEUE")) }}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	what := map[string]func() error{
		"migrate": func() error { return migrate(ended, db) },
		"serve":   func() error { return serve(ended, db, pool) },
		"work":    func() error { return work(ended, db, pool) },
	}[os.Args[len(os.Args)-1]]
	if what == nil {
		log.Fatal("usage: shop-api migrate|serve|work")
	}
	if err := what(); err != nil {
		log.Fatal(err)
	}
}

// patiently asks the database, which may start at the same time, until that is no error.
func patiently(ended context.Context, db *sql.DB, query string) error {
	for over := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if _, err := db.ExecContext(ended, query); err == nil || ended.Err() != nil || time.Now().After(over) {
			return err
		}
	}
}

func migrate(ended context.Context, db *sql.DB) error {
	if err := patiently(ended, db, `SELECT`); err != nil {
		return err
	}
	_, err := db.ExecContext(ended, table)
	return err
}

// work ends with an error if the queue or the database is lost: Kubernetes starts it again.
func work(ended context.Context, db *sql.DB, pool *redis.Pool) error {
	worker, _ := os.Hostname()
	if err := patiently(ended, db, `SELECT FROM orders LIMIT 1`); err != nil {
		return err
	}
	connection, err := pool.GetContext(ended)
	if err != nil {
		return err
	}
	defer connection.Close()
	log.Print("waiting for orders")
	for ended.Err() == nil {
		if _, err := redis.Strings(connection.Do("BRPOP", queue, 1)); err == redis.ErrNil {
			continue
		} else if err != nil {
			return err
		}
		if _, err := db.Exec(`INSERT INTO orders (worker) VALUES ($1)`, worker); err != nil {
			_, _ = connection.Do("LPUSH", queue, "order") // for the next worker
			return err
		}
	}
	return nil
}

func serve(ended context.Context, db *sql.DB, pool *redis.Pool) error {
	mux := http.NewServeMux()
	count := func(w http.ResponseWriter, r *http.Request) {
		var number int
		if err := db.QueryRowContext(r.Context(), `SELECT count(*) FROM orders`).Scan(&number); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable) // until it is migrated
			return
		}
		fmt.Fprintf(w, "{\"orders\": %d}\n", number)
	}
	mux.HandleFunc("GET /healthz", count)
	mux.HandleFunc("GET /orders", count)
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		connection := pool.Get()
		defer connection.Close()
		if _, err := connection.Do("LPUSH", queue, "order"); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ended.Done()
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}
