//! The venvoy command.

fn main() {}
