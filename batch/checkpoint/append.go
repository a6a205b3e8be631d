package checkpoint

import (
	"fmt"
	"time"
)

// Append adds an event to a batch's chain and applies it to the other tables.
// The number of the event comes back: it is the id of the run or the attempt
// that the event starts. What would make a large event should be several, of
// some hundred lines or tasks each: an event is held in memory whole.
func (tx *Tx) Append(batch int64, e Event) (seq int64, err error) {
	body, as, err := e.written()
	if err != nil {
		return 0, err
	}
	return tx.append(batch, body, &as)
}

func (tx *Tx) append(batch int64, body string, e *Event) (seq int64, err error) {
	var before string
	if err := tx.row("SELECT events, head FROM batch WHERE id = $1", batch).Scan(&seq, &before); err != nil {
		return 0, fmt.Errorf("batch %d: %w", batch, err)
	}
	seq++
	hash := link(before, seq, body)
	if _, err := tx.exec("INSERT INTO event (batch, seq, at, kind, body, hash) VALUES ($1, $2, $3, $4, $5, $6)",
		batch, seq, micros(e.At), e.Kind, body, hash); err != nil {
		return 0, err
	}
	if _, err := tx.exec("UPDATE batch SET events = $1, head = $2 WHERE id = $3", seq, hash, batch); err != nil {
		return 0, err
	}
	tx.appended = true
	if err := tx.count(batch, seq, e); err != nil {
		return 0, err
	}
	return seq, tx.project(batch, seq, e)
}

// NewBatch makes a batch with the first event of its chain. Its id is one that no
// batch had before.
func (tx *Tx) NewBatch(nb NewBatch, at time.Time) (id int64, err error) {
	if err := tx.row("UPDATE batch_id SET last = last + 1 RETURNING last").Scan(&id); err != nil {
		return 0, err
	}
	body, e, err := Event{Kind: "batch", At: at, Batch: &nb}.written()
	if err != nil {
		return 0, err
	}
	if err := tx.insertBatch(id, &e); err != nil {
		return 0, err
	}
	_, err = tx.append(id, body, &e)
	return id, err
}

// insertBatch makes the row of a batch from the first event of its chain.
func (tx *Tx) insertBatch(id int64, e *Event) error {
	nb, simulated := e.Batch, 0
	if nb.Simulated {
		simulated = 1
	}
	_, err := tx.exec(`INSERT INTO batch (id, name, cloud, tenant, application, host, simulated, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		id, nb.Name, nb.Cloud, nb.Tenant, nb.Application, nb.Host, simulated, micros(e.At))
	return err
}
