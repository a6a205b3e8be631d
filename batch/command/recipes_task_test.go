package command

import (
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// task is what is checked of a definition for the Task Scheduler beyond its
// structure.
type task struct {
	Version    string `xml:"version,attr"`
	Principals struct {
		Principal struct {
			ID string `xml:"id,attr"`
		}
	}
	Actions struct {
		Context string `xml:"Context,attr"`
		Exec    struct{ Command, Arguments, WorkingDirectory string }
	}
}

func parseTask(b block) (v task, err error) {
	err = xml.Unmarshal([]byte(b.text), &v)
	return v, err
}

const taskNamespace = "http://schemas.microsoft.com/windows/2004/02/mit/task"

// taskElements are the elements that the schema of the Task Scheduler allows
// within another. Where it demands an order, they are in it, and ordered.
var taskElements = map[string]struct {
	children []string
	ordered  bool
}{
	"":                 {children: []string{"Task"}},
	"Task":             {children: []string{"RegistrationInfo", "Triggers", "Settings", "Data", "Principals", "Actions"}},
	"RegistrationInfo": {children: []string{"URI", "SecurityDescriptor", "Source", "Date", "Author", "Version", "Description", "Documentation"}},
	"Triggers":         {children: []string{"CalendarTrigger", "TimeTrigger", "BootTrigger"}},
	"CalendarTrigger": {ordered: true, children: []string{"Enabled", "StartBoundary", "EndBoundary", "Repetition", "ExecutionTimeLimit", "RandomDelay",
		"ScheduleByDay", "ScheduleByWeek", "ScheduleByMonth", "ScheduleByMonthDayOfWeek"}},
	"ScheduleByDay": {children: []string{"DaysInterval"}},
	"Principals":    {children: []string{"Principal"}},
	"Principal":     {children: []string{"UserId", "LogonType", "GroupId", "DisplayName", "RunLevel", "ProcessTokenSidType", "RequiredPrivileges"}},
	"Settings": {children: []string{"AllowStartOnDemand", "RestartOnFailure", "MultipleInstancesPolicy", "DisallowStartIfOnBatteries",
		"StopIfGoingOnBatteries", "AllowHardTerminate", "StartWhenAvailable", "NetworkProfileName", "RunOnlyIfNetworkAvailable", "WakeToRun",
		"Enabled", "Hidden", "DeleteExpiredTaskAfter", "IdleSettings", "NetworkSettings", "ExecutionTimeLimit", "Priority", "RunOnlyIfIdle",
		"UseUnifiedSchedulingEngine", "DisallowStartOnRemoteAppSession"}},
	"Actions": {children: []string{"Exec"}},
	"Exec":    {children: []string{"Command", "Arguments", "WorkingDirectory"}},
}

// The values of the elements that hold text, by their types in the schema.
const (
	anyText  = `(?s).+`
	xsBool   = `true|false|1|0`
	duration = `P(\d+Y)?(\d+M)?(\d+D)?(T(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?` // and not without any part: see wrongValue
)

var taskValues = map[string]string{
	"Description": anyText, "Author": anyText, "Documentation": anyText, "Source": anyText, "URI": anyText, "Version": anyText,
	"SecurityDescriptor": anyText, "UserId": anyText, "GroupId": anyText, "DisplayName": anyText, "NetworkProfileName": anyText,
	"Command": anyText, "Arguments": anyText, "WorkingDirectory": anyText,

	"Enabled": xsBool, "AllowStartOnDemand": xsBool, "DisallowStartIfOnBatteries": xsBool, "StopIfGoingOnBatteries": xsBool,
	"AllowHardTerminate": xsBool, "StartWhenAvailable": xsBool, "RunOnlyIfNetworkAvailable": xsBool, "WakeToRun": xsBool,
	"Hidden": xsBool, "RunOnlyIfIdle": xsBool, "UseUnifiedSchedulingEngine": xsBool, "DisallowStartOnRemoteAppSession": xsBool,

	"ExecutionTimeLimit": duration, "RandomDelay": duration, "DeleteExpiredTaskAfter": duration,

	"LogonType":               `S4U|Password|InteractiveToken|InteractiveTokenOrPassword`,
	"RunLevel":                `LeastPrivilege|HighestAvailable`,
	"ProcessTokenSidType":     `None|Unrestricted|Default`,
	"MultipleInstancesPolicy": `Parallel|Queue|IgnoreNew|StopExisting`,
	"Priority":                `\d|10`,
	"DaysInterval":            `[1-9]|[1-9]\d|[12]\d\d|3[0-5]\d|36[0-5]`,
}

// wrongValue says what is wrong with the text of an element, empty if nothing is.
func wrongValue(name, text string) string {
	form, known := taskValues[name]
	ok := known && regexp.MustCompile(`^(?:`+form+`)$`).MatchString(text)
	switch {
	case name == "StartBoundary" || name == "EndBoundary" || name == "Date":
		_, zoned := time.Parse(time.RFC3339, text)
		_, local := time.Parse("2006-01-02T15:04:05", text)
		ok = zoned == nil || local == nil
	case form == duration:
		ok = ok && !strings.HasSuffix(text, "P") && !strings.HasSuffix(text, "T")
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("%s is %q, which the schema does not allow", name, text)
}

// checkTask checks a definition against the structure of the Task Scheduler's
// schema, and the texts in it against their types.
func checkTask(_ *testing.T, b block) (wrong []string) {
	v, err := parseTask(b)
	if err != nil {
		return []string{err.Error()}
	}
	if v.Version != "1.2" && v.Version != "1.3" {
		wrong = append(wrong, "version "+v.Version)
	}
	if v.Actions.Context != v.Principals.Principal.ID {
		wrong = append(wrong, "the actions' context is no principal")
	}
	if v.Actions.Exec.Command == "" {
		wrong = append(wrong, "no command")
	}
	type open struct {
		name, text string
		had        []string
	}
	stack := []open{{}}
	for d := xml.NewDecoder(strings.NewReader(b.text)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return wrong
		}
		if err != nil {
			return append(wrong, err.Error())
		}
		switch e := token.(type) {
		case xml.StartElement:
			in := &stack[len(stack)-1]
			rule := taskElements[in.name]
			at := slices.Index(rule.children, e.Name.Local)
			switch {
			case e.Name.Space != taskNamespace:
				wrong = append(wrong, e.Name.Local+" is not in the schema's namespace")
			case at < 0:
				wrong = append(wrong, "no "+e.Name.Local+" may be in "+in.name)
			case slices.Contains(in.had, e.Name.Local):
				wrong = append(wrong, e.Name.Local+" is there twice in "+in.name)
			case rule.ordered && len(in.had) > 0 && slices.Index(rule.children, in.had[len(in.had)-1]) > at:
				wrong = append(wrong, e.Name.Local+" comes too late in "+in.name)
			}
			in.had = append(in.had, e.Name.Local)
			stack = append(stack, open{name: e.Name.Local})
		case xml.CharData:
			stack[len(stack)-1].text += string(e)
		case xml.EndElement:
			end := stack[len(stack)-1]
			if _, holds := taskElements[end.name]; !holds {
				if why := wrongValue(end.name, end.text); why != "" {
					wrong = append(wrong, why)
				}
			}
			stack = stack[:len(stack)-1]
		}
	}
}
