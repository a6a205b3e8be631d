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

// Now is the wall time.
func (c *Clock) Now() time.Time {
	now, _ := c.Read()
	return now
}

// Read is the wall time, and how often the clock was seen to jump until then.
func (c *Clock) Read() (now time.Time, jumps int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The system reads the two clocks one after the other, and a process can be
	// held up in between: a jump counts only if it is seen three times.
	for range 3 {
		mono, wall := c.read()
		if c.mono.IsZero() {
			c.mono, c.wall = mono, wall
			return wall, c.jumps
		}
		elapsed := mono.Sub(c.mono)
		if d := wall.Sub(c.wall) - elapsed; d.Abs() <= drift(elapsed) {
			c.mono, c.wall = mono, wall
			return wall, c.jumps
		}
	}
	c.mono, c.wall = c.read()
	c.jumps++
	return c.wall, c.jumps
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
