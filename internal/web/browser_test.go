package web

import (
	"os"
	"testing"

	"sijill/internal/web/webtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	webtest.Close()
	os.Exit(code)
}
