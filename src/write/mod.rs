//! A plan in, an environment on disk out, published by one rename.
