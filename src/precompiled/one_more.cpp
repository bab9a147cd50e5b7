// Nothing: one source more for a build with several in a unit, see src/meson.build.
