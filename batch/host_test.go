package batch

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/batch/defender"
	"mde-offboard/batch/simulator"
)

// anyHost brings calls of all hosts to the simulator, and notes which they were.
type anyHost struct {
	to   http.RoundTripper
	seen map[string]bool
}

func (h *anyHost) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		h.seen[r.URL.Host] = true
	}
	r = r.Clone(r.Context())
	r.URL.Host, r.Host = "127.0.0.1", "127.0.0.1"
	res, err := h.to.RoundTrip(r)
	if err == nil {
		res.Header.Del("X-Simulated-Defender") // no cloud says that it is a simulator
	}
	return res, err
}

// real signs in as to the cloud itself, at an endpoint that the user has named or not.
func (w *world) real(ctx context.Context, store *checkpoint.Store, endpoint string) (*Session, *anyHost, error) {
	hosts := &anyHost{w.wire, map[string]bool{}}
	client, err := defender.New(defender.Config{Endpoint: endpoint, AuthorityHost: "https://127.0.0.1", Transport: hosts},
		defender.SecretSource(simulator.DefaultTenant, simulator.DefaultApplication, simulator.DefaultSecret))
	if err != nil {
		return nil, nil, err
	}
	id, err := client.Identity(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &Session{Store: store, Client: client, Clock: w.clock, Host: client.Target().Host, HostNamed: endpoint != "",
		Key: checkpoint.Key{Cloud: client.Target().Key, Tenant: id.Tenant, Application: id.Application}}, hosts, nil
}

// TestHostOfABatch: a batch stays at the host at which it was begun, whatever calls
// for it, unless the user names another one, which is refused before any call.
func TestHostOfABatch(t *testing.T) {
	const eu, us = "eu.api.security.microsoft.com", "us.api.security.microsoft.com"
	run := func(w *world, s *Session) error {
		o, err := s.Open(w.t.Context(), "list")
		if err != nil {
			return err
		}
		defer o.Close()
		p := planOf(w.t, listOf(devices(3)), o.Batch, o.Tasks, w.req)
		r, err := o.Start(w.t.Context(), p, "run", "test", w.opt, nil)
		if err != nil {
			return err
		}
		_, err = r.Finish(r.Run(w.t.Context(), w.t.Context()))
		return err
	}
	track := func(w *world, s *Session) error {
		_, stop, err := s.Track(w.t.Context(), "list", TrackOptions{}, w.opt, nil)
		if stop != nil {
			return stop
		}
		return err
	}
	cancel := func(w *world, s *Session) error {
		_, err := s.PlanCancel(w.t.Context(), CancelRequest{Name: "list"}, w.opt)
		return err
	}
	for _, does := range []struct {
		name string
		do   func(*world, *Session) error
	}{{"run", run}, {"track", track}, {"cancel", cancel}} {
		for _, tt := range []struct {
			endpoint string
			why      string // it is refused
		}{
			{"", ""},
			{"https://" + eu, ""},
			{"https://" + us, `batch "list" was begun at ` + eu + ", and this is " + us},
		} {
			t.Run(does.name+" "+tt.endpoint, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, simulator.Options{})
					w.opt.Limit = 1
					store := w.store()
					s, _, err := w.real(t.Context(), store, "https://"+eu)
					if err == nil {
						err = run(w, s)
					}
					if err != nil {
						t.Fatal(err)
					}
					s, hosts, err := w.real(t.Context(), store, tt.endpoint)
					if err != nil {
						t.Fatal(err)
					}
					err = does.do(w, s)
					seen := slices.Collect(maps.Keys(hosts.seen))
					if tt.why != "" {
						if stopCode(err) != CodeUsage || !strings.Contains(err.Error(), tt.why) || len(seen) > 0 {
							t.Errorf("%v, calls to %v; want code 2, %s, and none", err, seen, tt.why)
						}
					} else if err != nil || fmt.Sprint(seen) != "["+eu+"]" || s.Host != eu {
						t.Errorf("%v, calls to %v as of %s; want them to %s", err, seen, s.Host, eu)
					}
				})
			})
		}
	}
}
