package office

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A password that can't be read is said by the name of its setting.
func TestSmarthostPassword(t *testing.T) {
	dir := t.TempDir()
	path := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	if p, err := smarthostPassword(path("good", "two words\r\n")); p != "two words" || err != nil {
		t.Errorf("%q, %v", p, err)
	}
	_, err := smarthostPassword(filepath.Join(dir, "none"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "password_file under [delivery]: there is no file "+dir) {
		t.Error(err)
	}
	if _, err := smarthostPassword(path("empty", "\n")); err == nil || !strings.Contains(err.Error(), "password_file under [delivery]") {
		t.Error(err)
	}
}
