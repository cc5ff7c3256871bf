package office

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// smarthostPassword reads the password of the smarthost; "" where no file is set. The
// error names the setting.
func smarthostPassword(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	password := strings.TrimRight(string(b), "\r\n")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("password_file under [delivery]: there is no file %s: write the smarthost's password into it, or name another: %w", path, err)
	case err != nil:
		return "", fmt.Errorf("password_file under [delivery]: %w", err)
	case password == "":
		return "", fmt.Errorf("password_file under [delivery]: %s is empty: write the smarthost's password into it", path)
	}
	return password, nil
}
