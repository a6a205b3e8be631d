package defender_test

import (
	"cmp"
	"strings"
	"testing"

	"mde-offboard/batch/defender"
)

func TestResolve(t *testing.T) {
	clearEnvironment(t)
	const (
		commercial = "https://api.securitycenter.microsoft.com/.default"
		gcc        = "https://api-gcc.securitycenter.microsoft.us/.default"
		gov        = "https://api-gov.securitycenter.microsoft.us/.default"
		public     = "https://login.microsoftonline.com"
		us         = "https://login.microsoftonline.us"
		key        = "api.security.microsoft.com"
		govKey     = "api-gov.securitycenter.microsoft.us"
	)
	tests := []struct {
		reason                            string
		cloud, endpoint, scope, authority string
		want                              defender.Target
	}{
		{"nothing named", "", "", "", "", defender.Target{Cloud: "commercial", Endpoint: "https://api.security.microsoft.com", Scope: commercial, Authority: public, Key: key}},
		{"GCC", "gcc", "", "", "", defender.Target{Cloud: "gcc", Endpoint: "https://api-gcc.securitycenter.microsoft.us", Scope: gcc, Authority: public, Key: "api-gcc.securitycenter.microsoft.us"}},
		{"GCC High", "gcc-high", "", "", "", defender.Target{Cloud: "gcc-high", Endpoint: "https://api-gov.securitycenter.microsoft.us", Scope: gov, Authority: us, Key: govKey}},
		{"DoD", "dod", "", "", "", defender.Target{Cloud: "dod", Endpoint: "https://api-gov.securitycenter.microsoft.us", Scope: gov, Authority: us, Key: govKey}},
		{"a regional host", "", "https://eu.api.security.microsoft.com/", "", "", defender.Target{Cloud: "commercial", Endpoint: "https://eu.api.security.microsoft.com", Scope: commercial, Authority: public, Key: key}},
		{"the older name", "commercial", "https://API.securitycenter.microsoft.com:443", "", "", defender.Target{Cloud: "commercial", Endpoint: "https://api.securitycenter.microsoft.com", Scope: commercial, Authority: public, Key: key}},
		{"the oldest name", "", "https://api.securitycenter.windows.com", "", "", defender.Target{Cloud: "commercial", Endpoint: "https://api.securitycenter.windows.com", Scope: commercial, Authority: public, Key: key}},
		{"a host names its cloud", "", "https://api-gov.securitycenter.microsoft.us", "", "", defender.Target{Cloud: "gcc-high", Endpoint: "https://api-gov.securitycenter.microsoft.us", Scope: gov, Authority: us, Key: govKey}},
		{"a shared host, told which", "dod", "https://api-gov.securitycenter.microsoft.us", "", "", defender.Target{Cloud: "dod", Endpoint: "https://api-gov.securitycenter.microsoft.us", Scope: gov, Authority: us, Key: govKey}},
		{"a host of nobody, with scope", "", "https://proxy.example:8443", "api://x/.default", "", defender.Target{Cloud: "commercial", Endpoint: "https://proxy.example:8443", Scope: "api://x/.default", Authority: public, Key: "proxy.example:8443"}},
		{"a scope of one's own does not change what the host takes", "", "", "https://api.security.microsoft.com/.default", "", defender.Target{Cloud: "commercial", Endpoint: "https://api.security.microsoft.com", Scope: "https://api.security.microsoft.com/.default", Audience: "https://api.securitycenter.microsoft.com", Authority: public, Key: key}},
		{"loopback needs no scope", "", "https://127.0.0.1:8443", "", "https://127.0.0.1:8443", defender.Target{Cloud: "commercial", Endpoint: "https://127.0.0.1:8443", Scope: commercial, Authority: "https://127.0.0.1:8443", Key: "127.0.0.1:8443", Loopback: true, PrivateAuthority: true}},
		{"http on loopback", "", "http://[::1]:80", "", "", defender.Target{Cloud: "commercial", Endpoint: "http://[::1]:80", Scope: commercial, Authority: public, Key: "[::1]:80", Loopback: true}},
		{"an authority without https", "", "", "", "login.microsoftonline.us", defender.Target{Cloud: "commercial", Endpoint: "https://api.security.microsoft.com", Scope: commercial, Authority: us, Key: key}},
		{"an authority of one's own", "", "", "", "https://adfs.example/", defender.Target{Cloud: "commercial", Endpoint: "https://api.security.microsoft.com", Scope: commercial, Authority: "https://adfs.example", Key: key, PrivateAuthority: true}},
	}
	for _, test := range tests {
		got, err := defender.Resolve(test.cloud, test.endpoint, test.scope, test.authority)
		test.want.Host = strings.SplitAfter(test.want.Endpoint, "//")[1]
		test.want.Audience = cmp.Or(test.want.Audience, strings.TrimSuffix(test.want.Scope, "/.default"))
		if err != nil || got != test.want {
			t.Errorf("%s: Resolve(%q, %q, %q, %q) = %+v, %v; want %+v", test.reason, test.cloud, test.endpoint, test.scope, test.authority, got, err, test.want)
		}
	}
	for _, region := range []string{"us", "eu", "uk", "au", "swa", "ina"} {
		endpoint := "https://" + region + ".api.security.microsoft.com"
		if got, err := defender.Resolve("", endpoint, "", ""); err != nil || got.Endpoint != endpoint || got.Scope != commercial || got.Key != key {
			t.Errorf("Resolve(%q) = %+v, %v; want the commercial cloud's scope and quota", endpoint, got, err)
		}
	}
	t.Setenv("AZURE_AUTHORITY_HOST", us+"/")
	if got, err := defender.Resolve("", "", "", ""); err != nil || got.Authority != us {
		t.Errorf("Resolve() with AZURE_AUTHORITY_HOST = %+v, %v; want %s", got, err, us)
	}
	if got, err := defender.Resolve("", "", "", public); err != nil || got.Authority != public {
		t.Errorf("Resolve() with an authority and AZURE_AUTHORITY_HOST = %+v, %v; want %s", got, err, public)
	}
}

// TestAt has a client call other hosts of its cloud, and none of another.
func TestAt(t *testing.T) {
	clearEnvironment(t)
	c, err := defender.New(defender.Config{}, defender.SecretSource("t", "a", "s"))
	if err != nil {
		t.Fatal(err)
	}
	before := c.Target()
	for host, ok := range map[string]bool{
		"eu.api.security.microsoft.com":       true,
		"api.securitycenter.microsoft.com":    true,
		"api-gov.securitycenter.microsoft.us": false,
		"api.security.microsoft.com.example":  false,
		"eu.api.security.microsoft.com/x":     false,
	} {
		was := c.Target()
		err := c.At(host)
		want := was
		if ok {
			want = before
			want.Host, want.Endpoint = host, "https://"+host
		}
		if got := c.Target(); err == nil != ok || got != want {
			t.Errorf("At(%q) = %v, target %+v; want it to go: %v, %+v", host, err, got, ok, want)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	tests := []struct{ reason, cloud, endpoint, authority, want string }{
		{"unknown cloud", "china", "", "", "commercial, gcc, gcc-high, dod"},
		{"http elsewhere", "", "http://api.security.microsoft.com", "", "loopback"},
		{"a name that looks local", "", "http://localhost.example", "", "loopback"},
		{"unknown host without scope", "", "https://proxy.example", "", "--scope"},
		{"a known name on another port is another host", "", "https://api.security.microsoft.com:8443", "", "--scope"},
		{"host and cloud at odds", "commercial", "https://api-gov.securitycenter.microsoft.us", "", "gcc-high"},
		{"a path", "", "https://127.0.0.1/api", "", "scheme and host only"},
		{"a password", "", "https://user:hidden@127.0.0.1", "", "scheme and host only"},
		{"no scheme", "", "127.0.0.1", "", "https://host"},
		{"another scheme", "", "ftp://127.0.0.1", "", "https://host"},
		{"secrets over http", "", "", "http://127.0.0.1", "https only"},
	}
	for _, test := range tests {
		_, err := defender.Resolve(test.cloud, test.endpoint, "", test.authority)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: Resolve(%q, %q, %q) = %v; want %q in it", test.reason, test.cloud, test.endpoint, test.authority, err, test.want)
		}
	}
}

func TestCloudKey(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://us.api.security.microsoft.com":       "api.security.microsoft.com",
		"https://eu.api.security.microsoft.com":       "api.security.microsoft.com",
		"https://uk.api.security.microsoft.com":       "api.security.microsoft.com",
		"https://au.api.security.microsoft.com":       "api.security.microsoft.com",
		"https://swa.api.security.microsoft.com":      "api.security.microsoft.com",
		"https://ina.api.security.microsoft.com":      "api.security.microsoft.com",
		"https://api.securitycenter.windows.com":      "api.security.microsoft.com",
		"https://api-gov.securitycenter.microsoft.us": "api-gov.securitycenter.microsoft.us",
		"https://127.0.0.1:1234":                      "127.0.0.1:1234",
	} {
		if got, err := defender.CloudKey(endpoint); err != nil || got != want {
			t.Errorf("CloudKey(%q) = %q, %v; want %q", endpoint, got, err, want)
		}
	}
}
