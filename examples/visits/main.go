// visits counts in PostgreSQL how often it was asked: `visits migrate` creates its table, `visits` serves.
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

	_ "github.com/lib/pq" // reads PGHOST, PGUSER, PGPASSWORD and the others
)

const table = `CREATE TABLE IF NOT EXISTS visits (at timestamptz NOT NULL DEFAULT now(), pod text NOT NULL)`

const patience = 2 * time.Minute

func main() {
	db, err := sql.Open("postgres", "")
	if err != nil {
		log.Fatal(err)
	}
	if len(os.Args) > 1 && os.Args[1] == "migrate" {
		if err := migrate(db); err != nil {
			log.Fatal(err)
		}
		return
	}
	serve(db)
}

// migrate waits until the database, which may start at the same time, takes connections.
func migrate(db *sql.DB) error {
	for over := time.Now().Add(patience); db.Ping() != nil && time.Now().Before(over); {
		time.Sleep(100 * time.Millisecond)
	}
	_, err := db.Exec(table)
	return err
}

func serve(db *sql.DB) {
	pod, _ := os.Hostname()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := db.ExecContext(r.Context(), `SELECT FROM visits LIMIT 1`); err != nil { // once it is migrated
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		var count int
		_, err := db.ExecContext(r.Context(), `INSERT INTO visits (pod) VALUES ($1)`, pod)
		if err == nil {
			err = db.QueryRowContext(r.Context(), `SELECT count(*) FROM visits`).Scan(&count)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "{\"count\": %d, \"pod\": %q}\n", count, pod)
	})
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() {
		<-ended.Done()
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}
