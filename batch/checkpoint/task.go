package checkpoint

// Task reads one task of a batch.
func (r Reader) Task(batch, n int64) (Task, error) {
	return scanTask(r.QueryRow("SELECT "+taskColumns+" FROM task t WHERE t.batch = $1 AND t.n = $2", batch, n))
}
