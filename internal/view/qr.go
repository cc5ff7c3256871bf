package view

import (
	"fmt"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// QR is a code that a phone reads, for the template to draw: Path fills the dark
// squares of a picture that is Size wide and high, the quiet zone included.
type QR struct {
	Size int
	Path string
}

// quiet is how many squares are left empty around a code (ISO/IEC 18004).
const quiet = 4

// NewQR makes a code of text. A text that's too long for one is an error.
func NewQR(text string) (QR, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return QR{}, fmt.Errorf("drawing a QR code: %w", err)
	}
	size := code.Bounds().Dx()
	var b strings.Builder
	for y := range size {
		for x := range size {
			if g := color.GrayModel.Convert(code.At(x, y)).(color.Gray); g.Y < 128 {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	return QR{Size: size + 2*quiet, Path: b.String()}, nil
}
