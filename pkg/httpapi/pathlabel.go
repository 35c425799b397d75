package httpapi

import "strings"

// withoutNames cuts a path down to what is worth a metric series of its own:
// state keys, secret names and the ids of actors and workflows go, all else
// stays.
func withoutNames(path string) string {
	version, rest := nextSegment(path)
	if rest == "" {
		return path
	}
	group, rest := nextSegment(rest)
	if rest == "" {
		return path
	}
	owner, rest := nextSegment(rest)
	kept := path[:len(path)-len(rest)]
	switch {
	case version == "v1.0" && (group == "state" || group == "secrets"):
		return kept
	case version == "v1.0" && group == "actors" && rest != "":
		_, rest = nextSegment(rest)
		if rest == "" {
			return kept + "/{id}"
		}
		verb, _ := nextSegment(rest)
		return kept + "/{id}/" + verb
	case group == "workflows" && owner != "" && rest != "":
		return kept + workflowLabel(rest)
	}
	return path
}

// workflowLabel labels what follows the component's name: "/NAME/start" keeps
// the workflow's name, which is code, and the others hide the instance.
func workflowLabel(path string) string {
	first, rest := nextSegment(path)
	switch {
	case rest == "/start":
		return path
	case strings.HasPrefix(rest, "/raiseEvent/"):
		return "/{instanceId}/raiseEvent/{eventName}"
	case first == "":
		return path
	}
	return "/{instanceId}" + rest
}
