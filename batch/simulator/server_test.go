package simulator

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

func TestRealCredentialOverASocket(t *testing.T) {
	s, hc := listening(t, Options{AnyDevice: true})
	token, err := secretCredential(t, s, hc, DefaultTenant, DefaultApplication, DefaultSecret).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		t.Fatalf("GetToken() = %v; want a token", err)
	}
	c := &client{t: t, s: s, http: hc.Transport, token: token.Token}
	if g := c.offboard(device); g.err != nil || g.status/100 != 2 || g.fields["machineId"] != device || g.fields["status"] != Pending {
		t.Errorf("offboard = %+v; want a pending action", g)
	}
	if g := c.offboard(device); g.status != http.StatusBadRequest || g.code != "ActiveRequestAlreadyExists" {
		t.Errorf("second offboard = %d %s; want 400 ActiveRequestAlreadyExists", g.status, g.code)
	}
	g := c.actions("type eq 'Offboard' and machineId eq '" + device + "'")
	if len(g.value) != 1 || g.value[0]["requestorComment"] != "Retired" || g.header.Get(SimulatedHeader) != "1" {
		t.Errorf("actions = %+v; want the one action, from a simulator", g)
	}
}

func TestRealCredentialInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{AnyDevice: true, LatencyMin: time.Second, LatencyMax: 3 * time.Second})
		hc := &http.Client{Transport: s.Transport()}
		token, err := secretCredential(t, s, hc, DefaultTenant, DefaultApplication, DefaultSecret).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			t.Fatalf("GetToken() = %v; want a token", err)
		}
		c := &client{t: t, s: s, http: hc.Transport, token: token.Token}
		start := time.Now()
		if g := c.offboard(device); g.err != nil || g.status/100 != 2 {
			t.Fatalf("offboard = %+v; want 2xx", g)
		}
		if took := time.Since(start); took < 2*time.Second || took > 6*time.Second {
			t.Errorf("offboard took %v; want between twice 1s and twice 3s", took)
		}
		if b := s.Books(); b.Devices[device].Posts != 1 || len(b.Devices[device].Actions) != 1 {
			t.Errorf("Books() = %+v; want one post and one action", b.Devices[device])
		}
	})
}
