package command

import (
	"errors"
	"fmt"
	"slices"

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
		return checkpoint.Batch{}, fmt.Errorf("batch %q: %w", name, checkpoint.ErrNoBatch)
	case 1:
		return found[0], nil
	}
	return checkpoint.Batch{}, usage{hinted{fmt.Errorf("batch %q is there for %d tenants", name, len(found)), "say which: --tenant-id ID"}}
}

func (a *app) noBatch(name string) error {
	hint := a.command("status") + " lists the batches"
	if !a.hasCheckpoint() {
		hint = "there are none yet: " + firstBatch
	}
	return usage{hinted{fmt.Errorf("batch %q: %w", name, checkpoint.ErrNoBatch), hint}}
}

// firstBatch is how there comes to be one. A rehearsal whose books end with it
// makes none.
const firstBatch = "mde-offboard run LIST begins one; run --simulate LIST --checkpoint FILE rehearses one that is kept"

// known says that no batch is called so before anybody has to sign in for it.
// Which tenant it must be of shows only then: any will do here.
func (a *app) known(name string) error {
	a.batch = name
	if !a.hasCheckpoint() {
		return a.noBatch(name)
	}
	store, err := a.openStore()
	if err != nil {
		return err
	}
	defer store.Close()
	return store.View(a.Context, func(r checkpoint.Reader) error {
		all, err := r.Batches()
		if err == nil && !slices.ContainsFunc(all, func(b checkpoint.Batch) bool { return b.Name == name }) {
			err = a.noBatch(name)
		}
		return err
	})
}

// batchNamed opens the checkpoint and finds a batch in it. The caller closes the
// store.
func (a *app) batchNamed(name, tenant string) (store *checkpoint.Store, b checkpoint.Batch, err error) {
	a.batch = name
	if !a.hasCheckpoint() {
		return nil, b, a.noBatch(name)
	}
	if store, err = a.openStore(); err != nil {
		return nil, b, err
	}
	err = store.View(a.Context, func(r checkpoint.Reader) (err error) {
		b, err = find(r, name, tenant)
		return err
	})
	if err != nil {
		store.Close()
		if errors.Is(err, checkpoint.ErrNoBatch) {
			err = a.noBatch(name)
		}
		return nil, b, err
	}
	return store, b, nil
}
