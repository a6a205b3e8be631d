package command

import (
	"context"
	"os"
	"runtime"
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
			stop, hard, last := stages(c, 20*time.Second, 8*time.Second)
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
			time.Sleep(7 * time.Second)
			synctest.Wait()
			if last.Err() != nil {
				t.Errorf("%s: there was no time to tell how it ended", tt.reason)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if last.Err() == nil {
				t.Errorf("%s: it is still being told when the kill comes", tt.reason)
			}
		})
	}
}

// A signal more ends the telling too.
func TestLastSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := make(chan os.Signal, 4)
		_, hard, last := stages(c, 20*time.Second, 8*time.Second)
		for range 3 {
			c <- os.Interrupt
		}
		synctest.Wait()
		if hard.Err() == nil || last.Err() == nil {
			t.Errorf("after three signals hard %v, last %v; want the end of both", hard.Err(), last.Err())
		}
	})
}

// What a kill announces must all fit in before it.
func TestBeforeTheKill(t *testing.T) {
	kill := 30 * time.Second
	if runtime.GOOS == "windows" {
		kill = 5 * time.Second
	}
	if all := grace() + farewell(); all >= kill {
		t.Errorf("calls and telling take %v; want less than %v", all, kill)
	}
}
