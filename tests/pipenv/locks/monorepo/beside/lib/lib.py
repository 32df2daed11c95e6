"""A library beside the project, which would be 0.0.0 without what lies beside it."""
