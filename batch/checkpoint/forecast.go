package checkpoint

import (
	"time"

	"mde-offboard/batch/quota"
)

// Forecast says how n calls of a budget will go if each goes as early as it may,
// and how many of them before end; end and allowed are as in
// quota.History.Forecast.
func (s *Store) Forecast(b Budget, now func() time.Time, n int, end time.Time, allowed func(time.Time) time.Time) (f quota.Forecast, err error) {
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
		f = h.Forecast(at, tx.windows(b), hold, n, end, allowed)
		return nil
	})
	return f, err
}
