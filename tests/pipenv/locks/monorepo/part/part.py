"""A part of the project, which takes its version from beside it."""
