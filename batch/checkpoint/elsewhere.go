package checkpoint

// cameToNothing says of a task's action that it is over and was not carried out.
const cameToNothing = "LOWER(t.action_status) IN ('failed', 'timeout', 'cancelled', 'canceled')"

// Elsewhere maps each device that another batch of a tenant has accepted, or has
// in flight or in doubt, to that batch. What is in flight or in doubt comes
// before what was accepted; an action that came to nothing does not say that a
// device is done. It is what Reserve will say, asked beforehand.
func (r Reader) Elsewhere(cloud, tenant string, batch int64) (map[string]Busy, error) {
	rows, err := r.Query(`SELECT t.device, o.name, t.status, t.action, t.action_type, t.action_status, t.action_requestor,
			t.action_created, t.action_updated, t.action_error
		FROM task t JOIN batch o ON o.id = t.batch
		WHERE o.cloud = $1 AND o.tenant = $2 AND o.id <> $3
			AND (t.status IN ('sending', 'in-doubt') OR t.status = 'accepted' AND NOT `+cameToNothing+`)
		ORDER BY CASE t.status WHEN 'accepted' THEN 0 ELSE 1 END, o.id`, cloud, tenant, batch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]Busy{}
	for rows.Next() {
		var device string
		var b Busy
		a := &b.Action
		if err := rows.Scan(&device, &b.Batch, &b.Status, &a.ID, &a.Type, &a.Status, &a.Requestor, &a.Created, &a.Updated, &a.Error); err != nil {
			return nil, err
		}
		all[device] = b
	}
	return all, rows.Err()
}
