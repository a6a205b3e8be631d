package simulator

import (
	"crypto/tls"
	"encoding/binary"
	"sync"

	"golang.org/x/net/http2"
)

type frameKey struct{}

const frameHeader = 9 // length 3, type 1, flags 1, stream 4

// frameConn stands between the HTTP/2 server and its connection and changes frames on their way out.
// The server itself can only reset a stream with INTERNAL_ERROR, which no client takes as leave to send
// the request again; REFUSED_STREAM and GOAWAY are what clients repeat a request for, so these are what
// has to be played.
type frameConn struct {
	*tls.Conn

	mu      sync.Mutex
	pending []byte // the start of a frame whose rest has not come yet
	refuse  int    // resets that are to say REFUSED_STREAM
	goAway  int    // resets that are to become a GOAWAY and the connection's end
}

// turnAway marks the next reset of a stream.
func (f *frameConn) turnAway(how delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if how == goAway {
		f.goAway++
	} else {
		f.refuse++
	}
}

// Write implements net.Conn. What it returns is what it was given, whatever went out for it.
func (f *frameConn) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = append(f.pending, p...)
	out, end := f.rewrite()
	if _, err := f.Conn.Write(out); err != nil {
		return 0, err
	}
	if end {
		return len(p), f.Conn.Close()
	}
	return len(p), nil
}

// rewrite takes the whole frames out of pending, and says whether the connection ends with them.
func (f *frameConn) rewrite() (out []byte, end bool) {
	for len(f.pending) >= frameHeader {
		size := frameHeader + int(f.pending[0])<<16 + int(f.pending[1])<<8 + int(f.pending[2])
		if len(f.pending) < size {
			break
		}
		frame := f.pending[:size]
		f.pending = f.pending[size:]
		if http2.FrameType(frame[3]) == http2.FrameRSTStream && size == frameHeader+4 {
			if f.goAway > 0 {
				return append(out, goAwayFrame()...), true
			}
			if f.refuse > 0 {
				f.refuse--
				frame = append([]byte{}, frame...)
				binary.BigEndian.PutUint32(frame[frameHeader:], uint32(http2.ErrCodeRefusedStream))
			}
		}
		out = append(out, frame...)
	}
	return out, false
}

// goAwayFrame says that no stream at all was processed, without an error: leave to repeat them all.
func goAwayFrame() []byte {
	frame := make([]byte, frameHeader+8) // last stream 0, error code NO_ERROR
	frame[2] = 8
	frame[3] = byte(http2.FrameGoAway)
	return frame
}
