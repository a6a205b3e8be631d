package simulator

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// throttle counts an API call and refuses it when it is over the quota or within a hold.
func (s *Server) throttle(c *call) (answer, bool) {
	key := c.kind
	if s.opts.SharedBudget {
		key = allCalls
	}
	m := s.meter(key)
	held := c.at.Before(m.until)
	if held {
		s.books.duringHold++
		m.until = m.until.Add(s.opts.Penalty)
	}
	full, free := m.over(s.opts.FixedWindows, c.at)
	if full == nil {
		return answer{}, false
	}
	m.until = free
	return s.tooMany(c, s.opts.Throttle, full, free.Sub(c.at)), true
}

// hold starts a hold on the key of a call, whatever the windows say: a fault.
func (s *Server) hold(c *call, style string, wait time.Duration) answer {
	key := c.kind
	if s.opts.SharedBudget {
		key = allCalls
	}
	m := s.meter(key)
	if until := c.at.Add(wait); until.After(m.until) {
		m.until = until
	}
	return s.tooMany(c, style, &m.windows[0], m.until.Sub(c.at))
}

func (s *Server) meter(key string) *meter {
	m, ok := s.meters[key]
	if !ok {
		m = newMeter(&s.opts)
		s.meters[key] = m
	}
	return m
}

// tooMany is the 429 that tells the wait in the given style. Seconds are rounded up: who waits for
// them never comes too early.
func (s *Server) tooMany(c *call, style string, full *window, wait time.Duration) answer {
	styles := []string{ThrottleSeconds, ThrottleDate, ThrottleMessage, ThrottleWindow, ThrottleNone}
	if style == ThrottleMixed {
		style = styles[c.draw.IntN(len(styles))]
	}
	seconds := int(math.Ceil(wait.Seconds()))
	message := "API calls quota exceeded"
	switch style {
	case ThrottleMessage:
		message = fmt.Sprintf("API calls quota exceeded! You can send requests again in %d seconds", seconds)
	case ThrottleWindow:
		message = fmt.Sprintf("API calls quota exceeded! Maximum allowed %s for each 'Destination+TenantID+AppID' key", full)
	}
	a := refuse(http.StatusTooManyRequests, []string{"TooManyRequests", "429"}[c.draw.IntN(2)], message, s.target(c))
	switch style {
	case ThrottleSeconds:
		a.header.Set("Retry-After", strconv.Itoa(seconds))
	case ThrottleDate:
		// HTTP dates have whole seconds; one more covers the part that is cut off.
		a.header.Set("Retry-After", c.at.Add(wait+time.Second).UTC().Format(http.TimeFormat))
	}
	return a
}
