package simulator

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxTop is the largest page, and the size of one that names none.
const maxTop = 10_000

// query is the question of a list call.
type query struct {
	keep      predicate
	top, skip int
	explicit  bool // $top was given
	filtered  bool
	ascending bool
}

// parseQuery reads $filter, $top, $skip and, where there are fields to order by, $orderby. Anything
// else, and anything twice, is an error.
func parseQuery(values url.Values, fields, orders []string) (query, error) {
	q := query{top: maxTop, keep: func(func(string) any) bool { return true }}
	for name, list := range values {
		if len(list) != 1 {
			return q, fmt.Errorf("%s is given %d times", name, len(list))
		}
		var err error
		switch value := list[0]; {
		case name == "$filter":
			q.filtered = true
			q.keep, err = parseFilter(value, fields)
		case name == "$top":
			q.explicit = true
			q.top, err = number(name, value, maxTop)
		case name == "$skip":
			q.skip, err = number(name, value, 1<<31-1)
		case name == "$orderby" && len(orders) > 0:
			q.ascending, err = parseOrder(value, orders)
		default:
			err = fmt.Errorf("the query option %q is not supported", name)
		}
		if err != nil {
			return q, err
		}
	}
	return q, nil
}

func number(name, value string, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s %q is not a number from 0 to %d", name, value, most)
	}
	return n, nil
}

func parseOrder(value string, orders []string) (ascending bool, err error) {
	words := strings.Fields(value)
	known := len(words) > 0 && len(words) <= 2 && slices.Contains(orders, words[0])
	if !known || len(words) == 2 && words[1] != "asc" && words[1] != "desc" {
		return false, fmt.Errorf("$orderby %q is not supported", value)
	}
	return len(words) == 1 || words[1] == "asc", nil
}

// page is the part of n records that was asked for.
func (q query) page(n int) (low, high int) {
	low = min(q.skip, n)
	return low, min(low+q.top, n)
}

// next is the link to the next page. There is none when $top was given. With a filter it always leads
// to the same page, as has been seen at the real service: a client that follows it never ends.
func (q query) next(c *call, high, n int) string {
	if q.explicit || high >= n {
		return ""
	}
	if q.filtered {
		high = maxTop
	}
	values := url.Values{}
	for name, list := range c.query {
		values[name] = list
	}
	values.Set("$skip", strconv.Itoa(high))
	return c.base + c.path + "?" + values.Encode()
}

// refuseQuery refuses any query option: for calls that know none.
func refuseQuery(c *call) (answer, bool) {
	for name := range c.query {
		return refuse(http.StatusBadRequest, "ODataError", fmt.Sprintf("the query option %q is not supported", name), name), true
	}
	return answer{}, false
}

func fieldNames[T any](fields map[string]T) []string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
