package checkpoint

import (
	"time"
)

// Forecast says when the last of n calls of a budget will go if each goes as
// early as it may and takes as long as rtt, and what holds it up; allowed is as
// in quota.History.Forecast.
func (s *Store) Forecast(b Budget, now func() time.Time, n int, rtt time.Duration, allowed func(time.Time) time.Time) (last time.Time, why string, err error) {
	err = s.Update(func(tx *Tx) error {
		at := now()
		h, err := tx.history(b, at)
		if err != nil {
			return err
		}
		hold, err := tx.hold(b)
		if err != nil {
			return err
		}
		last, why = h.Forecast(at, tx.windows(b), hold, n, rtt, allowed)
		return nil
	})
	return last, why, err
}
