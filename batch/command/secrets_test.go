package command

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"mde-offboard/batch/simulator"
)

// TestNoSecretIsKept: through a refused token, a claims challenge, refusals and a
// crash, no token and no secret is in what a run says or writes, though its log is
// as full as it can be and tells each call.
func TestNoSecretIsKept(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process can have another one crash with what it holds on Windows")
	}
	t.Parallel()
	r := newRig(t, append([]string{"--faults", "401@3,401-cae@9,actions/lost-after@2"}, quick...)...)
	text := "MachineId,Comment\n" + "dead0400" + strings.Repeat("0", 32) + ",retired\n"
	for _, id := range r.list("list.csv", 100) {
		text += id + ",retired\n"
	}
	if err := os.WriteFile(filepath.Join(r.dir, "list.csv"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	logged := []string{"--log-level", "debug", "--log-file", "log"}
	crash := r.command(quickRun("list.csv", logged...)...)
	var said strings.Builder
	crash.Stdout, crash.Stderr = &said, &said
	if err := crash.Start(); err != nil {
		t.Fatal(err)
	}
	r.await("log", "Www-Authenticate=REDACTED")                   // written before the crash, which loses what is not
	if err := crash.Process.Signal(syscall.SIGQUIT); err != nil { // Go's own crash, with all that is on the stacks
		t.Fatal(err)
	}
	if err := crash.Wait(); err == nil || !strings.Contains(said.String(), "goroutine ") {
		t.Fatalf("the run that crashed: %v\n%s; want the stacks", err, said.String())
	}
	code, out := exit(t, r.command(quickRun("list.csv", logged...)...))
	want(t, "the run that goes on", code, out, 3, "100 accepted, 1 refused")
	code, more := exit(t, r.command("report", "list"))
	want(t, "the report", code, more, 0)

	log := fileText(t, filepath.Join(r.dir, "log"))
	for _, call := range []string{
		`msg=call method=POST path=/api/machines/[0-9a-f]{40}/offboard status=201 took=\S+ request=\S+ .*sent\.Authorization=REDACTED`,
		`msg=call method=GET path=/api/machineactions status=200 took=\S+ request=\S+ `,
		`status=401 .*answered\.Www-Authenticate=REDACTED`,
		`msg=login method=POST host=127\.0\.0\.1:\d+ path=/[0-9a-f-]+/oauth2/v2\.0/token took=\S+ status=200`,
	} {
		if !regexp.MustCompile(call).MatchString(log) {
			t.Errorf("the log lacks %s:\n%.4000s", call, log)
		}
	}
	r.noSecretIn("what was said", said.String()+out+more)
	files := 0
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path, filepath.Join(r.dir, "sim")) {
			return err
		}
		files++
		r.noSecretIn(path, fileText(t, path))
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("%d files, %v; want the checkpoint, the log, the results and the report", files, err)
	}
	row := r.results("list.results.csv")["dead0400"+strings.Repeat("0", 32)]
	for column, value := range map[string]string{"Status": "refused", "HttpStatus": "400", "ErrorCode": "OsPlatformNotSupported", "Error": "Operating system is not supported for this action"} {
		if row[column] != value {
			t.Errorf("%s of a device that was refused = %q; want %q", column, row[column], value)
		}
	}
	for _, column := range []string{"ErrorTarget", "RequestId"} {
		if row[column] == "" {
			t.Errorf("%s of a device that was refused is empty; want what Microsoft's support asks for", column)
		}
	}
}

// noSecretIn looks for tokens, whose first part is an object in base64, and for
// the secret of the login.
func (r *rig) noSecretIn(where, text string) {
	r.t.Helper()
	for _, secret := range []string{"eyJ", simulator.DefaultSecret} {
		if strings.Contains(text, secret) {
			r.t.Errorf("%s holds %q", where, secret)
		}
	}
}
