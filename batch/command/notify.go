package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"mde-offboard/batch/checkpoint"
	"mde-offboard/report"
)

// The shapes in which the end of a run is posted.
const (
	notifyPlain = "plain" // the fields of notice
	notifyTeams = "teams" // an adaptive card, as the workflows of Teams take it
	notifySlack = "slack" // a text, as the incoming webhooks of Slack take it
)

// notice is what is posted when a run ends. Names stay; new ones may come.
type notice struct {
	Program   string                    `json:"program"`
	Version   string                    `json:"version"`
	Batch     string                    `json:"batch"`
	Tenant    string                    `json:"tenant,omitempty"`
	Simulated bool                      `json:"simulated"`
	Began     time.Time                 `json:"began"`
	Ended     time.Time                 `json:"ended"`
	Code      int                       `json:"code"`
	Outcome   string                    `json:"outcome"` // the code in words
	Reason    string                    `json:"reason,omitempty"`
	Hint      string                    `json:"hint,omitempty"`
	Lines     int                       `json:"lines"`
	Counts    map[checkpoint.Status]int `json:"counts"`
	Results   string                    `json:"results,omitempty"` // the path of the result CSV
	Chain     string                    `json:"chain,omitempty"`   // the head of the batch's chain
}

// outcomes are the exit codes in words.
var outcomes = []string{"done", "could not do the work", "refused before anything was sent", "done, and some devices did not make it",
	"stopped before the end; the same command goes on", "stopped by a guard", "another runner holds the batch"}

func newNotice(e *ended, now time.Time) notice {
	n := notice{Program: "mde-offboard", Version: Version, Batch: e.batch, Tenant: e.tenant, Simulated: e.simulated, Began: e.began.UTC(),
		Ended: now.UTC(), Code: e.code, Reason: e.why, Hint: e.hint, Lines: e.sum.Lines, Counts: e.sum.Counts, Results: e.sum.Path, Chain: e.head}
	if e.code < len(outcomes) {
		n.Outcome = outcomes[e.code]
	}
	return n
}

// title is the notice in one line.
func (n *notice) title() string {
	return fmt.Sprintf("%smde-offboard %s: %s", report.Mark(n.Simulated), n.Batch, n.Outcome)
}

// facts are the parts of the notice, as names and values.
func (n *notice) facts() (facts [][2]string) {
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, [2]string{name, value})
		}
	}
	add("Reason", n.Reason)
	add("Hint", n.Hint)
	for _, st := range statuses {
		if c := n.Counts[st]; c > 0 {
			add(string(st), fmt.Sprint(c))
		}
	}
	add("Tenant", n.Tenant)
	add("Results", n.Results)
	add("Exit code", fmt.Sprint(n.Code))
	return facts
}

// teams is the notice as an adaptive card.
func (n *notice) teams() any {
	var facts []map[string]string
	for _, f := range n.facts() {
		facts = append(facts, map[string]string{"title": f[0], "value": f[1]})
	}
	card := map[string]any{"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
		"body": []any{
			map[string]any{"type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": true, "text": n.title()},
			map[string]any{"type": "FactSet", "facts": facts},
		}}
	return map[string]any{"type": "message", "attachments": []any{
		map[string]any{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}}}
}

// slack is the notice as a text in Slack's markup.
func (n *notice) slack() any {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	text := "*" + escape.Replace(n.title()) + "*"
	for _, f := range n.facts() {
		text += "\n" + escape.Replace(f[0]+": "+f[1])
	}
	return map[string]string{"text": text}
}

func (n *notice) body(format string) ([]byte, error) {
	var shape any = n
	switch format {
	case notifyTeams:
		shape = n.teams()
	case notifySlack:
		shape = n.slack()
	}
	return json.Marshal(shape)
}

// findWebhook says where to post, as the flags have it or the file that they name.
func (w *watchers) findWebhook() error {
	if w.notifyFile != "" {
		if w.notifyURL != "" {
			return errors.New("--notify and --notify-file both say where to post: give one of them")
		}
		text, err := os.ReadFile(w.notifyFile)
		if err != nil {
			return fmt.Errorf("--notify-file: %w", err)
		}
		// As Windows' editors leave it. An empty one would mean: nowhere.
		if w.notifyURL = strings.TrimSpace(strings.TrimPrefix(string(text), "\ufeff")); w.notifyURL == "" {
			return fmt.Errorf("--notify-file %s: %w", w.notifyFile, errEmpty)
		}
	}
	err := checkNotify(w.notifyURL, w.notifyFormat)
	if errors.Is(err, errNoURL) && w.notifyFile != "" {
		return fmt.Errorf("--notify-file %s: %w", w.notifyFile, errNoURL)
	}
	return err
}

// errNoURL says what is wrong with a webhook without naming it.
var errNoURL = errors.New("not a URL that begins with https://")

// checkNotify says what is wrong with where to post, without naming it: who
// knows the URL of a webhook may post there.
func checkNotify(text, format string) error {
	if format != notifyPlain && format != notifyTeams && format != notifySlack {
		return fmt.Errorf("--notify-format %q is none of plain, teams, slack", format)
	}
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return fmt.Errorf("--notify is %w", errNoURL)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// notifyPauses are the waits between attempts to post.
var notifyPauses = []time.Duration{time.Second, 3 * time.Second, 9 * time.Second}

// post posts a body until it is taken, refused for good, or was tried often
// enough. Its errors do not name the URL.
func post(ctx context.Context, client *http.Client, target string, body []byte) (err error) {
	for i := 0; ; i++ {
		var again bool
		if again, err = postOnce(ctx, client, target, body); err == nil || !again || i == len(notifyPauses) {
			return err
		}
		select {
		case <-time.After(notifyPauses[i]):
		case <-ctx.Done():
			return err
		}
	}
}

func postOnce(ctx context.Context, client *http.Client, target string, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("the URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "mde-offboard/"+Version)
	res, err := client.Do(req)
	if err != nil {
		return true, nameless(err, req.URL)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16)) // so that the connection serves again
	switch {
	case res.StatusCode < 300:
		return false, nil
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500:
		return true, fmt.Errorf("answered %s", res.Status)
	}
	return false, fmt.Errorf("answered %s", res.Status)
}

// nameless takes the URL out of an error.
func nameless(err error, u *url.URL) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		if err = wrapped.Err; wrapped.Timeout() {
			return errors.New("no answer in time")
		}
	}
	text := err.Error()
	for _, secret := range []string{u.String(), u.RequestURI(), u.Host, u.Hostname()} {
		if len(secret) > 1 { // the path "/" is in every second error
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return errors.New(text)
}

// notifyClient posts nowhere but where it was told to.
func notifyClient() *http.Client {
	return &http.Client{Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// notify posts how a run ended. That somebody could not be told never changes
// how it ended. It may outlast Hard: a run whose calls were given up is one that
// somebody has to hear of.
func (a *app) notify(j *job, e *ended) {
	if j.notifyURL == "" {
		return
	}
	n := newNotice(e, time.Now())
	body, err := n.body(j.notifyFormat)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.Context), 30*time.Second)
		defer cancel()
		stop := context.AfterFunc(a.Last, cancel) // whoever waits no longer
		defer stop()
		err = post(ctx, notifyClient(), j.notifyURL, body)
	}
	if err != nil {
		a.warn(fmt.Sprintf("the end of the run could not be posted: %v", err))
	}
}
