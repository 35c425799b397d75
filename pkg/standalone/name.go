package standalone

import "math/rand/v2"

// Two words make up the id of an app that was given none: easier to tell apart,
// and to type, than a number.
var (
	firstWords = []string{
		"amber", "brisk", "calm", "clever", "cosy", "curious", "dapper", "eager", "early", "fair",
		"fluffy", "gentle", "golden", "happy", "humble", "jolly", "keen", "kind", "lucky", "mellow",
		"merry", "misty", "nimble", "noble", "patient", "plucky", "polite", "proud", "quick", "quiet",
		"rosy", "shy", "silver", "sleepy", "snowy", "sunny", "swift", "tidy", "warm", "witty",
	}
	secondWords = []string{
		"acorn", "badger", "beaver", "birch", "breeze", "brook", "comet", "crane", "daisy", "dolphin",
		"falcon", "fern", "finch", "fox", "garden", "gecko", "harbor", "hare", "hazel", "heron",
		"island", "juniper", "kettle", "lantern", "lark", "maple", "meadow", "moth", "otter", "owl",
		"pebble", "puffin", "quail", "robin", "sparrow", "teapot", "tulip", "walrus", "willow", "wren",
	}
)

// randomAppID makes up an app id that is not taken, with ever more words until
// one is found.
func randomAppID(taken func(id string) bool) string {
	for id := pick(firstWords); ; id = pick(firstWords) + "-" + id {
		if candidate := id + "-" + pick(secondWords); !taken(candidate) {
			return candidate
		}
	}
}

func pick(words []string) string { return words[rand.IntN(len(words))] }
