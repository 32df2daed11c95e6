//! The venvoy command: arguments in, exit code out. Everything else is in the library.

use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    venvoy::run(std::env::args_os())
}
