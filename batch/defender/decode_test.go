package defender

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"
)

// FuzzMachineAction: whatever else an answer holds, an id that is a string is
// read as it is, and without one the action has none.
func FuzzMachineAction(f *testing.F) {
	f.Add(`"status":"Pending","creationDateTimeUtc":"2026-01-02T03:04:05.1234567Z","errorHResult":-1`)
	f.Add(`"status":[],"machineId":{},"troubleshootInfo":null,"requestor":1e9`)
	f.Fuzz(func(t *testing.T, rest string) {
		object := `{` + rest + `,"id":"a-1"}`
		var fields map[string]json.RawMessage
		if json.Unmarshal([]byte(object), &fields) != nil {
			return
		}
		var a MachineAction
		if err := json.Unmarshal([]byte(object), &a); err != nil || a.ID != "a-1" {
			t.Errorf("Unmarshal(%s) = %+v, %v; want the id", object, a, err)
		}
	})
}

// TestTroubleshoot keeps all of what nobody has described, on one line.
func TestTroubleshoot(t *testing.T) {
	for in, want := range map[string]string{
		`null`: "", `""`: "", `"the script ended\nwith an error"`: "the script ended with an error",
		`{"errorCode": -2147024809, "steps": ["run"]}`: `{"errorCode":-2147024809,"steps":["run"]}`, `7`: "7",
		`{"from":"https:\/\/user:secret@proxy.example"}`:         `{"from":"https://[redacted]@proxy.example"}`,
		`{"z":12345678901234567890,"a":"\u003cb\u003e?a=1&b=2"}`: `{"a":"<b>?a=1&b=2","z":12345678901234567890}`,
		`{"n":1e400,"text":"why it failed"}`:                     `{"n":1e400,"text":"why it failed"}`, `1e400`: "1e400",
	} {
		var a MachineAction
		if err := json.Unmarshal([]byte(`{"id":"a-1","troubleshootInfo":`+in+`}`), &a); err != nil || a.Troubleshoot != want {
			t.Errorf("troubleshootInfo %s = %q, %v; want %q", in, a.Troubleshoot, err, want)
		}
	}
}

// FuzzReadIdentity: a token that is read has a tenant, and no error shows the token.
func FuzzReadIdentity(f *testing.F) {
	f.Add("e30.eyJ0aWQiOiJ0In0.")
	f.Add("a.b.c")
	f.Add("e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"tid":"t","scp":"a b","roles":["x"],"azp":"p"}`)) + ".c2ln")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := readIdentity(token, time.Time{})
		if (err == nil) != (id.Tenant != "") || (err != nil && err != errUnreadableToken) {
			t.Errorf("readIdentity(%q) = %+v, %v; want a tenant or the one error", token, id, err)
		}
	})
}
