package command

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/report"
)

// cmdWith adds variables to a command.
func cmdWith(cmd *exec.Cmd, variables ...string) *exec.Cmd {
	cmd.Env = append(cmd.Env, variables...)
	return cmd
}

// answers is a transport that answers as it is told: a status, 0 for none, or -1 for one that never comes.
type answers struct {
	statuses []int
	asked    []time.Time
}

func (a *answers) RoundTrip(req *http.Request) (*http.Response, error) {
	status := a.statuses[min(len(a.asked), len(a.statuses)-1)]
	a.asked = append(a.asked, time.Now())
	switch status {
	case -1:
		<-req.Context().Done()
		return nil, req.Context().Err()
	case 0:
		return nil, errors.New("dial tcp: lookup " + req.URL.Host + ": no such host")
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: http.NoBody, Request: req}, nil
}

func TestPost(t *testing.T) {
	tests := []struct {
		reason   string
		statuses []int
		asked    int
		err      string
	}{
		{"taken", []int{200}, 1, ""},
		{"Teams says accepted", []int{202}, 1, ""},
		{"a server in trouble is asked again", []int{503, 429, 200}, 3, ""},
		{"so is a network", []int{0, 200}, 2, ""},
		{"refused for good", []int{404, 200}, 1, "answered Not Found"},
		{"a redirect is not followed", []int{302, 200}, 1, "answered Found"},
		{"and in the end it is given up", []int{500}, 4, "answered Internal Server Error"},
		{"a server that hangs is given up too", []int{-1}, 4, "no answer in time"},
		{"without naming the host", []int{0}, 4, "dial tcp: lookup …: no such host"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			a := &answers{statuses: tt.statuses}
			client := notifyClient()
			client.Transport = a
			err := post(t.Context(), client, "https://hooks.example/very-secret", []byte("{}"))
			if got := errorText(err); got != tt.err || len(a.asked) != tt.asked {
				t.Errorf("%s: post = %q after %d requests; want %q after %d", tt.reason, got, len(a.asked), tt.err, tt.asked)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestCheckNotify(t *testing.T) {
	tests := []struct {
		reason, url, format string
		ok                  bool
	}{
		{"none", "", "plain", true},
		{"https", "https://hooks.example/secret", "teams", true},
		{"loopback may do without", "http://127.0.0.1:8080/", "slack", true},
		{"others may not", "http://hooks.example/secret", "plain", false},
		{"no host", "https:///secret", "plain", false},
		{"not a URL", "hooks.example%zzsecret", "plain", false},
		{"no such shape", "https://hooks.example/secret", "xml", false},
	}
	for _, tt := range tests {
		err := checkNotify(tt.url, tt.format)
		if (err == nil) != tt.ok || strings.Contains(errorText(err), "secret") {
			t.Errorf("%s: checkNotify(%q, %q) = %v; want ok %v, and the URL not named", tt.reason, tt.url, tt.format, err, tt.ok)
		}
	}
}

// TestFindWebhook takes the URL from where it is, and says nothing of it.
func TestFindWebhook(t *testing.T) {
	const url = "https://hooks.example/very-secret"
	for _, tt := range []struct {
		reason, flag, file string
		ok                 bool
	}{
		{"on the command line", url, "", true},
		{"in a file", "", url, true},
		{"in a file of Notepad's", "", "\ufeff" + url + "\r\n", true},
		{"in both", url, url, false},
		{"in a file that is empty", "", "\n", false},
		{"in a file with something else", "", "http://hooks.example/very-secret", false},
	} {
		w := &watchers{notifyURL: tt.flag, notifyFormat: notifyPlain}
		if tt.file != "" {
			w.notifyFile = filepath.Join(t.TempDir(), "notify")
			if err := os.WriteFile(w.notifyFile, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := w.findWebhook()
		if err != nil && tt.flag == "" && !strings.HasPrefix(err.Error(), "--notify-file "+w.notifyFile) {
			t.Errorf("%s: findWebhook = %v; want the file named", tt.reason, err)
		}
		if (err == nil) != tt.ok || err == nil && w.notifyURL != url || err != nil && strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%s: findWebhook = %v, %q; want ok %v, and the URL not named", tt.reason, err, w.notifyURL, tt.ok)
		}
	}
	if err := (&watchers{notifyFile: filepath.Join(t.TempDir(), "none"), notifyFormat: notifyPlain}).findWebhook(); err == nil {
		t.Error("a file that is not there is taken for no webhook")
	}
}

func TestNoticeShapes(t *testing.T) {
	e := &ended{batch: "<old> laptops", tenant: "t", code: 4, why: "outside the allowed hours", hint: "come again",
		sum: report.Summary{Path: "r.csv", Lines: 3, Counts: map[checkpoint.Status]int{checkpoint.Accepted: 2, checkpoint.Pending: 1}}}
	n := newNotice(e, time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC))
	tests := []struct {
		format string
		wants  []string
	}{
		{notifyPlain, []string{`"code":4`, `"outcome":"stopped before the end; the same command goes on"`, `"accepted":2`, `"ended":"2026-11-22T06:00:00Z"`}},
		{notifyTeams, []string{`"contentType":"application/vnd.microsoft.card.adaptive"`, `"type":"message"`, `{"title":"accepted","value":"2"}`}},
		{notifySlack, []string{`{"text":"*mde-offboard \u0026lt;old\u0026gt; laptops: stopped`, `\naccepted: 2`}},
	}
	for _, tt := range tests {
		b, err := n.body(tt.format)
		if err != nil || !json.Valid(b) {
			t.Errorf("body(%s) = %s, %v; want JSON", tt.format, b, err)
		}
		for _, want := range tt.wants {
			if !strings.Contains(string(b), want) {
				t.Errorf("body(%s) = %s; want %s in it", tt.format, b, want)
			}
		}
	}
}

// The end of a run whose calls were given up is posted, and nobody waits for a
// server that does not answer after the last signal.
func TestNotifyOutlastsHard(t *testing.T) {
	over, end := context.WithCancel(t.Context())
	end()
	for _, tt := range []struct {
		reason string
		last   context.Context
		want   int32
	}{
		{"the calls were given up", t.Context(), 1},
		{"and so is the post", over, 0},
	} {
		var posted atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { posted.Add(1) }))
		a := testApp(t)
		a.Context, a.Hard, a.Last = over, over, tt.last
		a.notify(&job{watchers: watchers{notifyURL: server.URL, notifyFormat: notifyPlain}}, &ended{batch: "list", code: 4})
		server.Close()
		if got := posted.Load(); got != tt.want {
			t.Errorf("%s: posted %d times; want %d", tt.reason, got, tt.want)
		}
	}
}
