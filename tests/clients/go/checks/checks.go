// Package checks is what the suites in Go share: each check prints its line, a failed one does not keep the others from running.
package checks

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
)

var failed bool

// Run runs one check. It fails by a panic, of Equal or No or of its own.
func Run(name string, check func()) {
	defer func() {
		if why := recover(); why != nil {
			failed = true
			text := strings.Join(strings.Fields(fmt.Sprint(why)), " ")
			if len(text) > 600 {
				text = text[:600]
			}
			fmt.Printf("FAIL %s: %s\n", name, text)
			return
		}
		fmt.Printf("ok %s\n", name)
	}()
	check()
}

// Done ends the suite.
func Done() {
	if failed {
		os.Exit(1)
	}
}

// Line is where the caller's caller stands.
func line() string {
	_, file, number, _ := runtime.Caller(2)
	return fmt.Sprintf("%s:%d", file[strings.LastIndex(file, "/")+1:], number)
}

// Equal panics unless both are deeply equal.
func Equal(found, expected any) {
	if !reflect.DeepEqual(found, expected) {
		panic(fmt.Sprintf("line %s: %#v, not %#v", line(), found, expected))
	}
}

// No panics if there is an error.
func No(err error) {
	if err != nil {
		panic(fmt.Sprintf("line %s: %v", line(), err))
	}
}
