package batch

import (
	"sync"
	"time"
)

// Clock tells the wall time that goes to the disk and notices when it no longer
// agrees with the time that has passed: the clock was set, or the machine slept.
type Clock struct {
	// Wall turns a reading of the system's clock into the wall time; nil takes
	// it as it is. Tests set the clock with it.
	Wall func(time.Time) time.Time

	mu    sync.Mutex
	wall  time.Time // the last reading, without the monotonic part
	mono  time.Time // the same, with it
	jumps int
}

// drift is how far wall time and elapsed time may part unnoticed. NTP slews by
// at most 500 ppm.
func drift(elapsed time.Duration) time.Duration {
	return 50*time.Millisecond + elapsed/2000
}

// moment is one reading of a clock.
type moment struct {
	time.Time           // of the wall
	mono      time.Time // the same, of the clock that cannot be set
	jumps     int       // that were seen until then
}

// of is the wall time of another moment of the clock that cannot be set, which
// holds however long ago this one was read.
func (m moment) of(t time.Time) time.Time { return m.Add(t.Sub(m.mono)) }

// Now is the wall time.
func (c *Clock) Now() time.Time { return c.moment().Time }

// moment reads the clock.
func (c *Clock) moment() moment {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The system reads the two clocks one after the other, and a process can be
	// held up in between: a jump counts only if it is seen three times.
	for range 3 {
		mono, wall := c.read()
		if c.mono.IsZero() {
			return c.keep(mono, wall)
		}
		elapsed := mono.Sub(c.mono)
		if d := wall.Sub(c.wall) - elapsed; d.Abs() <= drift(elapsed) {
			return c.keep(mono, wall)
		}
	}
	c.jumps++
	return c.keep(c.read())
}

// keep is the reading that the next one is compared with.
func (c *Clock) keep(mono, wall time.Time) moment {
	c.mono, c.wall = mono, wall
	return moment{wall, mono, c.jumps}
}

func (c *Clock) read() (mono, wall time.Time) {
	mono = time.Now()
	wall = mono.Round(0)
	if c.Wall != nil {
		wall = c.Wall(wall)
	}
	return mono, wall
}

// Jumps is how often the clock was seen to jump.
func (c *Clock) Jumps() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jumps
}
