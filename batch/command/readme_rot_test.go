package command

import (
	"slices"
	"strings"
	"testing"
)

// rot are the ways in which the README could become wrong, each as an edit of it.
var rot = []struct {
	reason, old, new string
}{
	{"a flag in a sentence", "`mde-offboard plan decommission.csv`", "`mde-offboard plan … --no-such-flag`"},
	{"a command in a sentence", "`mde-offboard track decommission`", "`mde-offboard trace decommission`"},
	{"a command in a sentence without its argument", "`mde-offboard report decommission`", "`mde-offboard report --excel`"},
	{"a command in a table", "| `cancel BATCH` |", "| `cancel BATCH BATCH` |"},
	{"a command in a table without its argument", "| `forget BATCH` |", "| `forget` |"},
	{"a flag in a table", "| `--canary N` |", "| `--canari N` |"},
	{"a value in a table", "`--log-format json`, `--log-file FILE`", "`--log-format yaml`, `--log-file FILE`"},
	{"a login in a table", "`--auth managed-identity`,", "`--auth managed-identty`,"},
	{"hours in a sentence", "`--between \"Sat,Sun 00:00-24:00\"`", "`--between \"Sat,Son 00:00-24:00\"`"},
	{"a flag of a shell's command", "--faults lost-after=5%", "--fault lost-after=5%"},
	{"a fault of a shell's command", "--faults lost-after=5%", "--faults lost-after=105%"},
	{"an argument too few", "mde-offboard forget decommission-2025\n", "mde-offboard forget\n"},
	{"an argument too many", "mde-offboard version\n", "mde-offboard version all\n"},
	{"a login that there is not", "--auth=workload-identity", "--auth=workload-identty"},
	{"hours without minutes", "--between=22:00-06:00", "--between=22-6"},
	{"a zone that there is not", "--timezone=Europe/Madrid", "--timezone=Europe/Madird"},
	{"an end of Container Apps' run", "--until=06:00", "--until=26:00"},
	{"a guard of systemd's command", "--max-devices 5000 --max-percent 20", "--max-devices 5000 --max-percent 20%"},
	{"a retention of systemd's command", "--retention 90d \\", "--retention 90days \\"},
	{"a format of GitHub's command", "--log-format json || [", "--log-format yaml || ["},
	{"a flag of the task's command", "--yes --max-devices 5000 --max-percent 20 --protect protect.txt", "--yess --max-devices 5000"},
	{"a policy of the task", "<MultipleInstancesPolicy>IgnoreNew<", "<MultipleInstancesPolicy>Nonsense<"},
	{"a login of the task", "<LogonType>Password<", "<LogonType>Passwort<"},
	{"a level of the task", "<RunLevel>LeastPrivilege<", "<RunLevel>Least<"},
	{"a start of the task", "<StartBoundary>2026-01-01T22:00:00<", "<StartBoundary>tonight<"},
	{"a limit of the task", "<ExecutionTimeLimit>PT9H<", "<ExecutionTimeLimit>9h<"},
	{"a switch of the task", "<WakeToRun>true<", "<WakeToRun>yes<"},
	{"an interval of the task", "<DaysInterval>1<", "<DaysInterval>0<"},
	{"a tag of the task left open", "</Settings>", ""},
	{"the crontab's schedule", "\n0 22 * * * mde-offboard", "\n99 42 * * 9 mde-offboard"},
	{"the CronJob's schedule", `schedule: "0 22 * * *"`, `schedule: "99 42 * * *"`},
	{"Container Apps' schedule", `cronExpression: "0 20 * * *"`, `cronExpression: "0 20 * * 8"`},
	{"GitHub's schedule", `- cron: "0 20 * * *"`, `- cron: "0 20 0 * *"`},
	{"a field of the CronJob", "backoffLimit: 0", "backofLimit: 0"},
	{"a document that is none", "kind: CronJob", "kind: [CronJob"},
	{"a recipe without its name", "# cronjob.yaml\n", ""},
}

// TestReadmeRot shows that the tests of the README find each kind of rot.
func TestReadmeRot(t *testing.T) {
	text := readme(t)
	problems := func(text string) []string { return append(wrongCommands(t, text), wrongRecipes(t, text)...) }
	before := problems(text)
	for _, tt := range rot {
		if !strings.Contains(text, tt.old) {
			t.Errorf("%s: the README has no %q to be changed; choose another place", tt.reason, tt.old)
			continue
		}
		after := problems(strings.Replace(text, tt.old, tt.new, 1))
		if !slices.ContainsFunc(after, func(p string) bool { return !slices.Contains(before, p) }) {
			t.Errorf("%s: %q for %q: nothing was found", tt.reason, tt.new, tt.old)
		} else if testing.Verbose() {
			t.Logf("%s: %q", tt.reason, after)
		}
	}
}
