package defender

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
)

// cloud is one row of Microsoft's table. The scope belongs to the cloud and not
// to the host: every commercial host, whatever its name, takes tokens for the
// older securitycenter name and refuses others with a bare 403.
type cloud struct {
	name      string
	hosts     []string // the first is the one that is used unless another is named
	authority string
	scope     string
}

var clouds = []cloud{
	{
		name: "commercial",
		hosts: []string{
			"api.security.microsoft.com",
			"us.api.security.microsoft.com",
			"eu.api.security.microsoft.com",
			"uk.api.security.microsoft.com",
			"au.api.security.microsoft.com",
			"swa.api.security.microsoft.com",
			"ina.api.security.microsoft.com",
			"api.securitycenter.microsoft.com",
			"api.securitycenter.windows.com",
		},
		authority: "https://login.microsoftonline.com",
		scope:     "https://api.securitycenter.microsoft.com/.default",
	},
	{
		name:      "gcc",
		hosts:     []string{"api-gcc.securitycenter.microsoft.us"},
		authority: "https://login.microsoftonline.com",
		scope:     "https://api-gcc.securitycenter.microsoft.us/.default",
	},
	{
		name:      "gcc-high",
		hosts:     []string{"api-gov.securitycenter.microsoft.us"},
		authority: "https://login.microsoftonline.us",
		scope:     "https://api-gov.securitycenter.microsoft.us/.default",
	},
	{
		name:      "dod",
		hosts:     []string{"api-gov.securitycenter.microsoft.us"},
		authority: "https://login.microsoftonline.us",
		scope:     "https://api-gov.securitycenter.microsoft.us/.default",
	},
}

// Clouds returns the names that a cloud can be chosen by, the default first.
func Clouds() []string {
	names := make([]string, len(clouds))
	for i, c := range clouds {
		names[i] = c.name
	}
	return names
}

// Target is where the calls of a client go.
type Target struct {
	Cloud     string // a name of [Clouds]; for a host that is in no table the one that was asked for
	Endpoint  string // scheme and host, without a path
	Host      string // the host of Endpoint, with its port if it has one
	Scope     string // what a token is asked for
	Audience  string // what it must then be for: for a host in a cloud's table the cloud's, whatever Scope says
	Authority string // who issues it, scheme and host
	// Key is equal for all hosts behind which one quota is counted: regional and
	// older names of a cloud are one, and so are GCC High and DoD.
	Key string
	// Loopback is true for an endpoint on this machine, where windows may be
	// shortened and plain HTTP is allowed.
	Loopback bool
	// PrivateAuthority is true for an authority that is not Microsoft's. It is
	// used without asking Microsoft whether it exists (instance discovery).
	PrivateAuthority bool
}

// Resolve finds the target that cloud, endpoint, scope and authority name, each
// of which may be empty. An endpoint names its cloud by itself; one that is in
// no cloud's table needs a scope, except on loopback, where the cloud's serves.
// An empty authority is AZURE_AUTHORITY_HOST, and without that the cloud's.
func Resolve(cloudName, endpoint, scope, authority string) (Target, error) {
	if endpoint == "" {
		c, err := findCloud(cloudName)
		if err != nil {
			return Target{}, err
		}
		endpoint = "https://" + c.hosts[0]
	}
	u, err := bareURL("endpoint", endpoint)
	if err != nil {
		return Target{}, err
	}
	loopback := isLoopback(u.Hostname())
	if u.Scheme == "http" && !loopback {
		return Target{}, fmt.Errorf("endpoint %s: http is for loopback only, use https", endpoint)
	}
	c, listed, err := cloudOf(cloudName, u)
	if err != nil {
		return Target{}, err
	}
	t := Target{Cloud: c.name, Endpoint: u.String(), Host: u.Host, Scope: scope, Key: u.Host, Loopback: loopback}
	if listed {
		t.Key = c.hosts[0]
	}
	if t.Scope == "" {
		if !listed && !loopback {
			return Target{}, fmt.Errorf("endpoint %s is in no cloud's table: name the scope of its tokens too (--scope)", endpoint)
		}
		t.Scope = c.scope
	}
	t.Audience = audienceOf(t.Scope)
	if listed {
		t.Audience = audienceOf(c.scope)
	}
	return t, t.setAuthority(authority, c)
}

// audienceOf is what the tokens of a scope are for.
func audienceOf(scope string) string {
	return strings.TrimRight(strings.TrimSuffix(scope, "/.default"), "/")
}

func (t *Target) setAuthority(authority string, c cloud) error {
	if authority == "" {
		authority = os.Getenv("AZURE_AUTHORITY_HOST")
	}
	if authority == "" {
		authority = c.authority
	}
	if !strings.Contains(authority, "://") {
		authority = "https://" + authority
	}
	u, err := bareURL("authority host", authority)
	if err != nil {
		return err
	}
	if u.Scheme != "https" {
		return fmt.Errorf("authority host %s: secrets travel over https only", authority)
	}
	t.Authority = u.String()
	t.PrivateAuthority = !slices.Contains(microsoftAuthorities, u.Host)
	return nil
}

// microsoftAuthorities are the hosts that instance discovery knows.
var microsoftAuthorities = []string{
	"login.microsoftonline.com",
	"login.microsoftonline.us",
	"login.partner.microsoftonline.cn",
	"login.chinacloudapi.cn",
	"login.microsoft.com",
	"login.windows.net",
	"sts.windows.net",
	"login-us.microsoftonline.com",
}

func findCloud(name string) (cloud, error) {
	if name == "" {
		return clouds[0], nil
	}
	for _, c := range clouds {
		if c.name == name {
			return c, nil
		}
	}
	return cloud{}, fmt.Errorf("cloud %q is not known, choose one of %s", name, strings.Join(Clouds(), ", "))
}

// cloudOf finds the cloud of a host, and whether the host is in its table. GCC
// High and DoD share a host, so a name that fits the host decides.
func cloudOf(name string, u *url.URL) (cloud, bool, error) {
	named, err := findCloud(name)
	if err != nil {
		return cloud{}, false, err
	}
	in := func(c cloud) bool { return u.Scheme == "https" && slices.Contains(c.hosts, u.Host) }
	if in(named) {
		return named, true, nil
	}
	i := slices.IndexFunc(clouds, in)
	switch {
	case i < 0:
		return named, false, nil
	case name != "":
		return cloud{}, false, fmt.Errorf("endpoint %s belongs to cloud %s, not %s: leave one of the two out", u.Host, clouds[i].name, name)
	}
	return clouds[i], true, nil
}

// bareURL parses scheme and host and refuses what else a URL can have: a path
// or a query would be lost, and a password would be logged.
func bareURL(what, s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(strings.TrimSpace(s), "/"))
	if err != nil {
		return nil, fmt.Errorf("%s: %s", what, Redact(err.Error()))
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" {
		return nil, fmt.Errorf("%s %q is not a URL such as https://host", what, Redact(s))
	}
	if u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%s %q: give scheme and host only", what, Redact(s))
	}
	u.Host = strings.TrimSuffix(strings.ToLower(u.Host), ":443")
	return u, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// CloudKey is the [Target.Key] of an endpoint: equal for hosts that share a quota.
func CloudKey(endpoint string) (string, error) {
	u, err := bareURL("endpoint", endpoint)
	if err != nil {
		return "", err
	}
	c, listed, err := cloudOf("", u)
	switch {
	case err != nil:
		return "", err
	case !listed:
		return u.Host, nil
	}
	return c.hosts[0], nil
}
