package simulator

import (
	"io"
	"net/http"
	"time"
)

// ServeHTTP implements http.Handler: API, authority and books.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.isDown() {
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		panic(http.ErrAbortHandler) // it never arrived as a whole
	}
	time.Sleep(s.delay()) // not ended by the client's giving up: what is on its way arrives
	a := s.serve(newCall(r, "https://"+r.Host, body))
	defer s.finish(a)
	if a.how != hang {
		time.Sleep(s.delay())
	}
	a.write(w, r)
}

func (s *Server) serveForeignHTTP(w http.ResponseWriter, r *http.Request) {
	s.serveForeign(newCall(r, "https://"+r.Host, nil)).write(w, r)
}

// write sends the answer, or breaks the connection in the way it says. http.ErrAbortHandler is the
// standard library's own way to do so.
func (a answer) write(w http.ResponseWriter, r *http.Request) {
	switch a.how {
	case hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case lost:
		panic(http.ErrAbortHandler)
	case refused, goAway:
		if frames, ok := r.Context().Value(frameKey{}).(*frameConn); ok {
			frames.turnAway(a.how)
		}
		panic(http.ErrAbortHandler)
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	switch a.how {
	case cut:
		writePiece(w, a.body[:len(a.body)/2])
		panic(http.ErrAbortHandler)
	case slow:
		a.drip(w, r)
	default:
		_, _ = w.Write(a.body) // the client has gone: nobody to tell
	}
}

func (a answer) drip(w http.ResponseWriter, r *http.Request) {
	piece := (len(a.body) + drops - 1) / drops
	for rest := a.body; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
		if sleep(r.Context(), a.over/drops) != nil {
			panic(http.ErrAbortHandler)
		}
		writePiece(w, rest[:min(piece, len(rest))])
	}
}

func writePiece(w http.ResponseWriter, piece []byte) {
	_, _ = w.Write(piece) // the client has gone: nobody to tell
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}
