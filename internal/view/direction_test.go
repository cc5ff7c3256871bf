package view

import "testing"

func TestDirection(t *testing.T) {
	for subject, want := range map[string]string{
		"": "auto", "Re:": "auto", "1448 (6)": "auto", "Re: ": "auto",
		"Budget": "ltr", "Re: Budget": "ltr", "Regarding: موعد": "ltr", "2027 Budget موعد": "ltr",
		"موعد": "rtl", "Re: موعد": "rtl", "RE[2]: Fwd: «موعد» Sunday": "rtl", "٢٠٢٧: ميزانية": "rtl", "رد: Budget": "rtl", "Re: שלום": "rtl",
	} {
		if got := Direction(subject); got != want {
			t.Errorf("%q: %s, want %s", subject, got, want)
		}
	}
}
