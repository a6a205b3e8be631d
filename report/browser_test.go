package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"
)

// browser is a headless Chromium that is spoken to through two pipes, in its
// DevTools protocol: messages of JSON, each ended by a NUL.
type browser struct {
	t       *testing.T
	cmd     *exec.Cmd
	to      *os.File
	mu      sync.Mutex
	next    int
	answers map[int]chan message
	tabs    map[string]*tab
	gone    chan struct{}
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// patience is after how long a browser that says nothing is given up.
const patience = time.Minute

// startBrowser starts Chromium, or skips the test where there is none.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be handed two more pipes here")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("there is no Chromium here")
	}
	args := []string{"--headless", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--disable-extensions", "--hide-scrollbars", "--user-data-dir=" + t.TempDir(), "about:blank"}
	if os.Geteuid() == 0 {
		args = append([]string{"--no-sandbox"}, args...)
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, cmd: exec.Command(path, args...), to: ours, answers: map[int]chan message{}, tabs: map[string]*tab{}, gone: make(chan struct{})}
	b.cmd.ExtraFiles = []*os.File{theirs, theirOut}
	if err := b.cmd.Start(); err != nil {
		t.Skipf("%s does not start: %v", path, err)
	}
	theirs.Close()
	theirOut.Close()
	go b.read(from)
	t.Cleanup(func() {
		b.call("", "Browser.close", nil)
		ours.Close()
		b.cmd.Wait()
		<-b.gone
	})
	return b
}

// read hands what the browser says to whoever waits for it.
func (b *browser) read(from *os.File) {
	defer close(b.gone)
	defer from.Close()
	in := bufio.NewReaderSize(from, 1<<20)
	for {
		raw, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(bytes.TrimSuffix(raw, []byte{0}), &m) != nil {
			continue
		}
		b.mu.Lock()
		switch answer, ok := b.answers[m.ID]; {
		case m.ID != 0 && ok:
			delete(b.answers, m.ID)
			answer <- m
		case b.tabs[m.SessionID] != nil:
			b.tabs[m.SessionID].event(m)
		}
		b.mu.Unlock()
	}
}

// call calls a method and waits for its result.
func (b *browser) call(session, method string, params any) (json.RawMessage, error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	answer := make(chan message, 1)
	b.mu.Lock()
	b.next++
	m := message{ID: b.next, SessionID: session, Method: method, Params: raw}
	if params == nil {
		m.Params = nil
	}
	b.answers[m.ID] = answer
	b.mu.Unlock()
	if raw, err = json.Marshal(m); err != nil {
		return nil, err
	}
	if _, err := b.to.Write(append(raw, 0)); err != nil {
		return nil, err
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return nil, fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		return m.Result, nil
	case <-b.gone:
		return nil, fmt.Errorf("%s: the browser has gone", method)
	case <-time.After(patience):
		b.cmd.Process.Kill()
		return nil, fmt.Errorf("%s: the browser says nothing", method)
	}
}

// tab is one page of a browser.
type tab struct {
	b       *browser
	t       *testing.T
	session string
	loaded  chan struct{}

	mu       sync.Mutex
	requests []string // addresses that the page wanted
	errors   []string // exceptions, dialogs, and what the policy forbade
}

// tab opens an empty page.
func (b *browser) tab(t *testing.T) *tab {
	t.Helper()
	var target struct {
		TargetID string `json:"targetId"`
	}
	b.must(t, "", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.must(t, "", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p := &tab{b: b, t: t, session: attached.SessionID, loaded: make(chan struct{}, 1)}
	b.mu.Lock()
	b.tabs[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		p.must(domain+".enable", nil, nil)
	}
	t.Cleanup(func() { b.call("", "Target.closeTarget", map[string]any{"targetId": target.TargetID}) })
	return p
}

func (b *browser) must(t *testing.T, session, method string, params, into any) {
	t.Helper()
	raw, err := b.call(session, method, params)
	if err == nil && into != nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *tab) must(method string, params, into any) {
	p.t.Helper()
	p.b.must(p.t, p.session, method, params, into)
}

// event notes what happens on the page.
func (p *tab) event(m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m.Method {
	case "Page.loadEventFired":
		select {
		case p.loaded <- struct{}{}:
		default:
		}
	case "Network.requestWillBeSent":
		var e struct {
			Request struct {
				URL string `json:"url"`
			} `json:"request"`
		}
		json.Unmarshal(m.Params, &e)
		p.requests = append(p.requests, e.Request.URL)
	case "Runtime.exceptionThrown", "Page.javascriptDialogOpening":
		p.errors = append(p.errors, m.Method+" "+string(m.Params))
	case "Log.entryAdded":
		var e struct {
			Entry struct {
				Level string `json:"level"`
				Text  string `json:"text"`
			} `json:"entry"`
		}
		json.Unmarshal(m.Params, &e)
		if e.Entry.Level == "error" {
			p.errors = append(p.errors, e.Entry.Text)
		}
	}
}

// open loads a file in a window of a width.
func (p *tab) open(path string, width int) {
	p.t.Helper()
	p.size(width)
	p.mu.Lock()
	p.requests, p.errors = nil, nil
	p.mu.Unlock()
	p.must("Page.navigate", map[string]any{"url": "file://" + path}, nil)
	select {
	case <-p.loaded:
	case <-time.After(patience):
		p.t.Fatalf("%s does not load", path)
	}
}

func (p *tab) size(width int) {
	p.t.Helper()
	p.must("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// media shows the page as on paper or on a screen, light or dark.
func (p *tab) media(media, scheme string) {
	p.t.Helper()
	p.must("Emulation.setEmulatedMedia", map[string]any{"media": media, "features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// frame is a promise of the moment when the page has drawn what it had to, what it
// had put off included: the timer comes after those that were due before.
const frame = `new Promise(ok => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(ok))))`

// after evaluates an expression once the page has drawn.
func after[T any](p *tab, expression string) T {
	p.t.Helper()
	return eval[T](p, frame+`.then(() => (`+expression+`))`)
}

// eval evaluates an expression on the page; one that is a promise is awaited.
func eval[T any](p *tab, expression string) (v T) {
	p.t.Helper()
	var result struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text string `json:"text"`
		} `json:"exceptionDetails"`
	}
	p.must("Runtime.evaluate", map[string]any{"awaitPromise": true, "returnByValue": true,
		"expression": expression}, &result)
	if result.Exception != nil {
		p.t.Fatalf("%s: %s %s", expression, result.Exception.Text, result.Result.Value)
	}
	if len(result.Result.Value) > 0 {
		if err := json.Unmarshal(result.Result.Value, &v); err != nil {
			p.t.Fatalf("%s = %s: %v", expression, result.Result.Value, err)
		}
	}
	return v
}

// click clicks in the middle of an element, as a person would.
func (p *tab) click(selector string) {
	p.t.Helper()
	at := eval[[]float64](p, fmt.Sprintf(`(e => { e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })(document.querySelector(%q))`, selector))
	for _, what := range []string{"mousePressed", "mouseReleased"} {
		p.must("Input.dispatchMouseEvent", map[string]any{"type": what, "x": at[0], "y": at[1], "button": "left", "clickCount": 1}, nil)
	}
}

// write replaces the text of an input.
func (p *tab) write(selector, text string) {
	p.t.Helper()
	eval[bool](p, fmt.Sprintf(`(e => { e.focus(); e.select(); return true })(document.querySelector(%q))`, selector))
	if text == "" {
		p.must("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": "Backspace", "code": "Backspace", "windowsVirtualKeyCode": 8}, nil)
		return
	}
	p.must("Input.insertText", map[string]any{"text": text}, nil)
}

// clean fails if the page wanted anything from outside or broke a rule.
func (p *tab) clean(why string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.requests) > 1 {
		p.t.Errorf("%s: the page asked for %q; want itself alone", why, p.requests)
	}
	if len(p.errors) > 0 {
		p.t.Errorf("%s: %q", why, p.errors)
	}
}
