package report

import (
	"slices"
	"time"
)

// axisWidth is the width of a chart in units of its own.
const axisWidth = 1000.0

// axis maps time to the width of a chart. Long times in which nothing was sent are
// cut out, between runs and within one, so that nights of work a week apart can
// still be read.
type axis struct {
	parts []stretch
}

// stretch is a time that is shown to scale.
type stretch struct {
	from, to time.Time
	x, w     float64
}

// newAxis shows all busy times. What lies between them is shown too, unless it
// is longer than an hour and than a quarter of all that is shown.
func newAxis(busy []stretch) axis {
	slices.SortFunc(busy, func(a, b stretch) int { return a.from.Compare(b.from) })
	x := axis{parts: merged(busy, time.Hour)}
	x.parts = merged(x.parts, max(time.Hour, x.shown()/4))
	x.lay()
	return x
}

// merged are stretches with those in one that are not far apart.
func merged(all []stretch, far time.Duration) (parts []stretch) {
	for _, s := range all {
		if n := len(parts); n > 0 && s.from.Sub(parts[n-1].to) <= far {
			if s.to.After(parts[n-1].to) {
				parts[n-1].to = s.to
			}
			continue
		}
		parts = append(parts, stretch{from: s.from, to: s.to})
	}
	return parts
}

// shown is for how long all parts are.
func (x *axis) shown() (all time.Duration) {
	for _, p := range x.parts {
		all += p.to.Sub(p.from)
	}
	return all
}

// lay gives each part its place, and none too little to be seen.
func (x *axis) lay() {
	least := max(time.Second, x.shown()/60)
	for i, p := range x.parts {
		if p.to.Sub(p.from) < least {
			x.parts[i].to = p.from.Add(least)
		}
	}
	gap := 0.0
	if n := len(x.parts) - 1; n > 0 {
		gap = min(30, axisWidth*0.3/float64(n))
	}
	scale := (axisWidth - gap*float64(len(x.parts)-1)) / x.shown().Seconds()
	at := 0.0
	for i := range x.parts {
		p := &x.parts[i]
		p.x, p.w = at, p.to.Sub(p.from).Seconds()*scale
		at += p.w + gap
	}
}

// at is where a moment stands. One that was cut out stands at the edge.
func (x *axis) at(t time.Time) float64 {
	for i, p := range x.parts {
		if t.Before(p.from) {
			if i == 0 {
				return 0
			}
			return x.parts[i-1].x + x.parts[i-1].w
		}
		if !t.After(p.to) {
			return p.x + p.w*t.Sub(p.from).Seconds()/p.to.Sub(p.from).Seconds()
		}
	}
	return axisWidth
}

// breaks are the places where time was cut out.
func (x *axis) breaks() (all []box) {
	for i := 1; i < len(x.parts); i++ {
		from := x.parts[i-1].x + x.parts[i-1].w
		all = append(all, box{X: short(from), W: short(x.parts[i].x - from)})
	}
	return all
}

// tickSteps are the distances that a reader can count in.
var tickSteps = []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
	15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// tick is a mark on the axis.
type tick struct {
	X, Percent, Label, Day, Anchor string
	Minor                          bool // left out where it is narrow
}

// ticks are marks at round times, so far apart that their labels have room.
func (x *axis) ticks() (all []tick) {
	shown, width := x.shown(), 0.0
	for _, p := range x.parts {
		width += p.w
	}
	step, apart, layout := tickSteps[len(tickSteps)-1], 80.0, "15:04"
	for _, s := range tickSteps {
		room, text := 80.0, "15:04"
		if s < time.Minute {
			room, text = 120, "15:04:05"
		}
		if s.Seconds()/shown.Seconds()*width >= room {
			step, apart, layout = s, room, text
			break
		}
	}
	last, major, day := -apart, -2.5*apart, ""
	for _, p := range x.parts {
		first := p.from.Truncate(step)
		if first.Before(p.from) && len(all) > 0 || first.Add(step).Before(p.to) && first.Before(p.from) {
			first = first.Add(step)
		}
		for t := first; !t.After(p.to); t = t.Add(step) {
			if t.Before(p.from) {
				t = p.from
			}
			at := x.at(t)
			if at-last < apart*0.9 {
				continue
			}
			k := tick{X: short(at), Percent: short(at / axisWidth * 100), Label: t.UTC().Format(layout), Anchor: "middle", Minor: at-major < 2.5*apart}
			if !k.Minor {
				major = at
				if d := t.UTC().Format("2 Jan"); d != day {
					k.Day, day = d, d
				}
			}
			if at < 25 {
				k.Anchor = "start"
			} else if at > axisWidth-25 {
				k.Anchor = "end"
			}
			all, last = append(all, k), at
		}
	}
	return all
}
