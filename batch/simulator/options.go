package simulator

import (
	"fmt"
	"slices"
	"time"
)

// The made-up tenant, application and secrets that a Server knows when its Options name none.
// They are published here on purpose: nothing outside of a rehearsal accepts them.
const (
	DefaultTenant      = "51317a7e-0000-4000-8000-00000000a11e"
	DefaultApplication = "51317a7e-0000-4000-8000-0000000000a9"
	DefaultSecret      = "simulated-secret-that-opens-nothing"
	// ExpiredSecret is a secret of the application that has expired: the authority answers AADSTS7000222.
	ExpiredSecret = "simulated-secret-that-has-expired"
	// IdentityHeader is the secret that Metadata expects in X-IDENTITY-HEADER, as App Service does.
	IdentityHeader = "simulated-identity-header"
)

// The audience of the commercial cloud and of the United States government clouds.
const (
	AudienceCommercial = "https://api.securitycenter.microsoft.com"
	AudienceGCC        = "https://api-gcc.securitycenter.microsoft.us"
	AudienceGovernment = "https://api-gov.securitycenter.microsoft.us"
)

// What a second offboard call answers while an action of the device is open: the values of Options.Repeat.
const (
	RepeatRefuse   = "refuse"   // 400 ActiveRequestAlreadyExists
	RepeatExisting = "existing" // 2xx with the action that is open
	RepeatSecond   = "second"   // 2xx with a second action
)

// The ways in which a 429 tells how long to wait: the values of Options.Throttle.
const (
	ThrottleSeconds = "seconds" // Retry-After in seconds
	ThrottleDate    = "date"    // Retry-After as an HTTP date
	ThrottleMessage = "message" // only the words "in N seconds"
	ThrottleWindow  = "window"  // only the window: "100 per 00:01:00"
	ThrottleNone    = "none"    // nothing
	ThrottleMixed   = "mixed"   // one of these, drawn for each answer
)

// What an offboard answer says of the device: the values of Options.Echo.
const (
	EchoAlways = "always" // machineId and computerDnsName are there
	EchoNever  = "never"  // both are null
	EchoMixed  = "mixed"  // null in a tenth of the answers, by seed
)

// What a failed action says in troubleshootInfo, whose shape is not documented: the values of
// Options.Troubleshoot.
const (
	TroubleshootNull   = "null"
	TroubleshootText   = "text"
	TroubleshootObject = "object"
)

// Options are the settings of a Server. The zero value is a strict Defender with sliding windows of
// 100 a minute and 1,500 an hour, an empty inventory, no lag, no latency and no faults, in which
// actions stay Pending for ever.
type Options struct {
	Seed int64            // all randomness: the same seed plays the same faults
	Now  func() time.Time // the server's own clock; nil: time.Now

	Tenant, Application, Secret string        // OAuth; empty: the Default constants
	Audiences                   []string      // audiences that the API accepts; nil: those of all clouds
	Roles                       []string      // application permissions in tokens; nil: Machine.Offboard, Machine.Read.All
	Scopes                      []string      // delegated permissions in user tokens; nil: Machine.Offboard, Machine.Read
	TokenLife                   time.Duration // zero: 1 h
	DevicePolls                 int           // polls that a device code login stays pending for

	PerMinute, PerHour int           // zero: 100, 1500
	Minute, Hour       time.Duration // lengths of the windows; zero: 60 s, 1 h
	FixedWindows       bool          // windows that start on the clock's multiples, not sliding ones
	SharedBudget       bool          // one budget for all calls, not one for each kind of call
	Throttle           string        // how a 429 tells the wait; empty: ThrottleSeconds
	Penalty            time.Duration // what each call during a hold adds to it

	Machines  []Machine // the inventory
	AnyDevice bool      // any well-formed id is a known, onboarded Windows 11 device; the list holds only Machines

	Lag                    time.Duration // a fresh action can be read only after it
	LatencyMin, LatencyMax time.Duration // up-link and down-link each, drawn uniformly
	Repeat                 string        // empty: RepeatRefuse
	Success                int           // 200 or 201; zero: either, by seed
	Echo                   string        // empty: EchoAlways
	OddSpellings           bool          // Canceled, lastUpdateTimeUtc
	Troubleshoot           string        // empty: TroubleshootNull
	MaxComment             int           // characters of a comment, at most; zero: 1,000
	Faults                 string        // see ParseFaults
	RedirectTo             string        // where the redirect fault points; empty: a second listener, in process another host

	// Pending and Running are the life of an action: Pending, then InProgress, then its outcome.
	// When Pending is zero actions stay Pending for ever.
	Pending, Running time.Duration
	// FailPercent is the share of devices, by seed, whose action ends Failed or TimeOut.
	FailPercent int
	// Outcome names the final status for a device and comes before FailPercent; an empty word leaves
	// it to them. It may return words that the API does not know.
	Outcome func(machineID string) string

	Hosts []string // further host names that Transport takes for the server's own
}

// withDefaults returns o with its zero values replaced, or what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	set(&o.Now, o.Now == nil, time.Now)
	set(&o.Tenant, o.Tenant == "", DefaultTenant)
	set(&o.Application, o.Application == "", DefaultApplication)
	set(&o.Secret, o.Secret == "", DefaultSecret)
	set(&o.Audiences, o.Audiences == nil, []string{AudienceCommercial, AudienceGCC, AudienceGovernment})
	set(&o.Roles, o.Roles == nil, []string{"Machine.Offboard", "Machine.Read.All"})
	set(&o.Scopes, o.Scopes == nil, []string{"Machine.Offboard", "Machine.Read"})
	set(&o.TokenLife, o.TokenLife == 0, time.Hour)
	set(&o.PerMinute, o.PerMinute == 0, 100)
	set(&o.PerHour, o.PerHour == 0, 1500)
	set(&o.Minute, o.Minute == 0, time.Minute)
	set(&o.Hour, o.Hour == 0, time.Hour)
	set(&o.Throttle, o.Throttle == "", ThrottleSeconds)
	set(&o.Repeat, o.Repeat == "", RepeatRefuse)
	set(&o.Echo, o.Echo == "", EchoAlways)
	set(&o.Troubleshoot, o.Troubleshoot == "", TroubleshootNull)
	set(&o.MaxComment, o.MaxComment == 0, 1000)
	return o, o.check()
}

func set[T any](field *T, isZero bool, value T) {
	if isZero {
		*field = value
	}
}

func (o Options) check() error {
	for _, word := range []struct {
		name, value string
		known       []string
	}{
		{"repeat", o.Repeat, []string{RepeatRefuse, RepeatExisting, RepeatSecond}},
		{"throttle", o.Throttle, []string{ThrottleSeconds, ThrottleDate, ThrottleMessage, ThrottleWindow, ThrottleNone, ThrottleMixed}},
		{"echo", o.Echo, []string{EchoAlways, EchoNever, EchoMixed}},
		{"troubleshoot", o.Troubleshoot, []string{TroubleshootNull, TroubleshootText, TroubleshootObject}},
	} {
		if !slices.Contains(word.known, word.value) {
			return fmt.Errorf("%s %q is none of %v", word.name, word.value, word.known)
		}
	}
	if o.Success != 0 && o.Success != 200 && o.Success != 201 {
		return fmt.Errorf("success %d is neither 200 nor 201", o.Success)
	}
	if o.FailPercent < 0 || o.FailPercent > 100 {
		return fmt.Errorf("fail percent %d is not within 0 and 100", o.FailPercent)
	}
	if o.MaxComment < 0 || o.DevicePolls < 0 {
		return fmt.Errorf("a comment of %d characters or %d polls of a device code: that is negative", o.MaxComment, o.DevicePolls)
	}
	if o.PerMinute < 0 || o.PerHour < 0 {
		return fmt.Errorf("a quota of %d and %d calls is negative", o.PerMinute, o.PerHour)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"minute", o.Minute}, {"hour", o.Hour}, {"lag", o.Lag}, {"penalty", o.Penalty}, {"pending", o.Pending},
		{"running", o.Running}, {"token life", o.TokenLife}, {"least latency", o.LatencyMin},
	} {
		if d.value < 0 {
			return fmt.Errorf("%s %v is negative", d.name, d.value)
		}
	}
	if o.LatencyMax < o.LatencyMin {
		return fmt.Errorf("latency from %v to %v runs backwards", o.LatencyMin, o.LatencyMax)
	}
	return nil
}
