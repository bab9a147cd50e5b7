// The functions of libfmt.so, for a command without it: fmt's header of definitions, compiled here once, as
// the library itself does. fmt_templates.cpp has the templates.
#include <fmt/format-inl.h>
