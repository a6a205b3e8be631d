package command

import (
	"fmt"

	"mde-offboard/batch/checkpoint"
)

// find finds a batch by its name alone; two tenants may have one of that name.
func find(r checkpoint.Reader, name, tenant string) (checkpoint.Batch, error) {
	all, err := r.Batches()
	if err != nil {
		return checkpoint.Batch{}, err
	}
	var found []checkpoint.Batch
	for _, b := range all {
		if b.Name == name && (tenant == "" || b.Key.Tenant == tenant) {
			found = append(found, b)
		}
	}
	switch len(found) {
	case 0:
		return checkpoint.Batch{}, usage{fmt.Errorf("batch %q: %w\nhint: mde-offboard status lists them", name, checkpoint.ErrNoBatch)}
	case 1:
		return found[0], nil
	}
	return checkpoint.Batch{}, usage{fmt.Errorf("batch %q is there for %d tenants\nhint: say which: --tenant-id ID", name, len(found))}
}

// batchNamed opens the checkpoint and finds a batch in it. The caller closes the
// store.
func (a *app) batchNamed(name, tenant string) (store *checkpoint.Store, b checkpoint.Batch, err error) {
	if store, err = a.openStore(); err != nil {
		return nil, b, err
	}
	err = store.View(a.Context, func(r checkpoint.Reader) (err error) {
		b, err = find(r, name, tenant)
		return err
	})
	if err != nil {
		store.Close()
		return nil, b, err
	}
	return store, b, nil
}
