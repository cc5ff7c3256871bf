package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// readSettings reads an office's settings with more lines of the section [delivery].
func readSettings(t *testing.T, delivery string) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	text := "office = \"Diwan\"\ndomain = \"diwan.example\"\norigin = \"diwan.example/register\"\n[delivery]\n" + delivery
	if err := os.WriteFile(filepath.Join(dir, File), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Read(dir)
}

func TestSchedule(t *testing.T) {
	const day = 24 * time.Hour
	for lines, want := range map[string]Schedule{
		"": {FirstRetry: 5 * time.Minute, LongestPause: 4 * time.Hour, Lifetime: 5 * day, DelayNotice: 4 * time.Hour},
		"first_retry = \"90s\"\nlongest_pause = \"1h\"\nlifetime = \"2d12h\"\ndelay_notice = \"1h30m\"": {
			FirstRetry: 90 * time.Second, LongestPause: time.Hour, Lifetime: 60 * time.Hour, DelayNotice: 90 * time.Minute},
		"lifetime = \"1h\"":    {FirstRetry: 5 * time.Minute, LongestPause: 4 * time.Hour, Lifetime: time.Hour, DelayNotice: time.Hour},
		"first_retry = \"8h\"": {FirstRetry: 8 * time.Hour, LongestPause: 8 * time.Hour, Lifetime: 5 * day, DelayNotice: 4 * time.Hour},
	} {
		c, err := readSettings(t, lines)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Delivery.Schedule(); err != nil || got != want {
			t.Errorf("%s: %+v %v", lines, got, err)
		}
	}
	for line, want := range map[string]string{
		"lifetime = \"10s\"":      `under [delivery] lifetime is "10s": it may be from "1h" to "30d"`,
		"lifetime = \"31d\"":      `lifetime is "31d": it may be from "1h" to "30d"`,
		"first_retry = \"0s\"":    "", // As if it weren't there.
		"first_retry = \"2d\"":    `first_retry is "2d": it may be from "1m" to "1d"`,
		"longest_pause = \"2m\"":  `longest_pause is "2m": it may be from "5m" to "1d"`,
		"delay_notice = \"1m\"":   `delay_notice is "1m": it may be from "5m" to "5d"`,
		"lifetime = \"5\"":        `"5" is no length of time: write numbers with the units d, h, m or s`,
		"lifetime = 5":            "delivery.lifetime",
		"lifetime = \"\"":         `"" is no length of time`,
		"lifetime = \"-1d\"":      `"-1d" is no length of time`,
		"lifetime = \"1h1d\"":     `"1h1d" is no length of time`,
		"lifetime = \"9999999d\"": `"9999999d" is too long`,
	} {
		if _, err := readSettings(t, line); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
	for _, text := range []string{"5d", "1d12h30m1s", "4h", "0s"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != text {
			t.Errorf("%s is read as %s, %v", text, d, err)
		}
	}
}
