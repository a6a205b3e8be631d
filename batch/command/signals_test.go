package command

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestStages(t *testing.T) {
	term := os.Signal(syscall.SIGTERM)
	tests := []struct {
		reason string
		first  os.Signal
		second os.Signal
		wait   time.Duration
		hard   bool
	}{
		{"Ctrl-C has no hurry", os.Interrupt, nil, time.Hour, false},
		{"the second Ctrl-C ends all", os.Interrupt, os.Interrupt, 0, true},
		{"SIGTERM lets calls in flight finish", term, nil, 19 * time.Second, false},
		{"and gives them up before the kill", term, nil, 20 * time.Second, true},
		{"a terminal that is gone announces a kill too", syscall.SIGHUP, nil, 20 * time.Second, true},
		{"SIGTERM twice ends all", term, term, 0, true},
		{"Ctrl-C and then SIGTERM ends all", os.Interrupt, term, 0, true},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			c := make(chan os.Signal, 4)
			stop, hard := stages(c, 20*time.Second)
			synctest.Wait()
			if stop.Err() != nil || hard.Err() != nil {
				t.Errorf("%s: stopped before any signal", tt.reason)
			}
			c <- tt.first
			if tt.second != nil {
				c <- tt.second
			}
			time.Sleep(tt.wait)
			synctest.Wait()
			if stop.Err() == nil || (hard.Err() != nil) != tt.hard {
				t.Errorf("%s: stop %v, hard %v; want stop, hard %v", tt.reason, stop.Err(), hard.Err(), tt.hard)
			}
			if hard.Err() == nil {
				c <- os.Interrupt // ends the bubble's goroutine
			}
			<-hard.Done()
			if context.Cause(hard) != context.Canceled {
				t.Errorf("%s: hard ended with %v", tt.reason, context.Cause(hard))
			}
		})
	}
}
