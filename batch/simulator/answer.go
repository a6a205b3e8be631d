package simulator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

// SimulatedHeader is in every answer, so that a client can know that it talks to a simulator.
const SimulatedHeader = "X-Simulated-Defender"

// delivery is how an answer travels.
type delivery int

const (
	whole   delivery = iota
	lost             // the connection breaks, without an answer
	cut              // it breaks in the middle of the body
	hang             // no byte comes until the client gives up
	slow             // the body comes in drops
	refused          // HTTP/2: the stream is reset with REFUSED_STREAM, as if it had not been read
	goAway           // HTTP/2: GOAWAY says that no stream was processed, and the connection ends
)

// answer is what a call gets, and how.
type answer struct {
	status int
	header http.Header
	body   []byte
	how    delivery
	over   time.Duration // how long a slow body takes
	end    func()        // ends the call in the books once it was delivered
}

// errorJSON is Defender's error.
type errorJSON struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Target  string `json:"target,omitempty"`
	} `json:"error"`
}

// listJSON is a page of a collection.
type listJSON struct {
	Context string `json:"@odata.context"`
	Value   []any  `json:"value"`
	Next    string `json:"@odata.nextLink,omitempty"`
}

// refuse is Defender's JSON error.
func refuse(status int, code, message, target string) answer {
	var e errorJSON
	e.Error.Code, e.Error.Message, e.Error.Target = code, message, target
	return jsonAnswer(status, e)
}

// bare is an answer without a body.
func bare(status int) answer {
	return answer{status: status, header: http.Header{}}
}

// html is an answer that is not Defender's: a proxy's or a gateway's page.
func html(status int, text string) answer {
	a := bare(status)
	a.header.Set("Content-Type", "text/html; charset=utf-8")
	a.body = []byte("<!DOCTYPE html><html><head><title>" + text + "</title></head><body><h1>" + text + "</h1></body></html>\n")
	return a
}

func jsonAnswer(status int, v any) answer {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return html(http.StatusInternalServerError, err.Error())
	}
	a := bare(status)
	a.header.Set("Content-Type", "application/json; odata.metadata=minimal")
	a.body = buffer.Bytes()
	return a
}

// stamp writes a time as the API does, with seven fractional digits.
func stamp(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.0000000Z")
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}
