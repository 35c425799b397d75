package iostreams

// Color is an ANSI style.
type Color string

// The styles in use. Each is a complete SGR parameter list.
const (
	Bold       Color = "1"
	Red        Color = "31"
	Green      Color = "32"
	Yellow     Color = "33"
	Blue       Color = "34"
	Magenta    Color = "35"
	Cyan       Color = "36"
	BrightBlue Color = "94;1"
)

// Paint wraps text in a style when Out takes colours, else returns it as it is.
func (s *IOStreams) Paint(c Color, text string) string {
	return paint(s.ColorEnabled(), c, text)
}

// ErrPaint is Paint for ErrOut.
func (s *IOStreams) ErrPaint(c Color, text string) string {
	return paint(s.ErrColorEnabled(), c, text)
}

func paint(enabled bool, c Color, text string) string {
	if !enabled || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
