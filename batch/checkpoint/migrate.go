package checkpoint

import (
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
)

//go:embed migrations/*.sql
var texts embed.FS

// migrations are the files that each lead to the next version of the schema.
var migrations = func() []fs.DirEntry {
	files, err := texts.ReadDir("migrations")
	if err != nil {
		panic(err) // they are part of the program
	}
	return files
}()

// migrate brings the schema up to date, in one transaction: a crash leaves the
// old one.
func migrate(db *sql.DB) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Exec("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)"); err != nil {
		return err
	}
	var have int
	if err := tx.QueryRow("SELECT COALESCE(MAX(version), 0) FROM schema_version").Scan(&have); err != nil {
		return err
	}
	if have > len(migrations) {
		return fmt.Errorf("%w: its schema is version %d, this program knows %d", ErrNewer, have, len(migrations))
	}
	if have == len(migrations) {
		return nil
	}
	for i, f := range migrations[have:] {
		text, err := texts.ReadFile("migrations/" + f.Name())
		if err != nil {
			return err
		}
		if _, err := tx.Exec(string(text)); err != nil {
			return fmt.Errorf("migration %s: %w", f.Name(), err)
		}
		if _, err := tx.Exec("INSERT INTO schema_version VALUES ($1)", have+i+1); err != nil {
			return err
		}
	}
	return tx.Commit()
}
